INSERT INTO enrolments (subject_id, image_id, job_id, profile_id, decision, reasons)
SELECT k.subject_id, k.image_id, k.job_id, k.profile_id, k.decision, k.reasons::jsonb
FROM unnest(
    $1::bigint[], $2::bigint[], $3::uuid[], $4::text[], $5::text[], $6::text[]
) k (subject_id, image_id, job_id, profile_id, decision, reasons)
ON CONFLICT (subject_id, image_id) DO UPDATE SET
    job_id = excluded.job_id,
    profile_id = excluded.profile_id,
    decision = excluded.decision,
    reasons = excluded.reasons,
    decided_at = excluded.decided_at
