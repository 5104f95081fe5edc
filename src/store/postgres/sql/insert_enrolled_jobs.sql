INSERT INTO enrolment_jobs (job_id, subject_id, image_id, decision)
SELECT k.job_id, k.subject_id, k.image_id, k.decision
FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[])
    k (job_id, subject_id, image_id, decision)
ON CONFLICT (job_id) DO UPDATE SET
    subject_id = excluded.subject_id,
    image_id = excluded.image_id,
    decision = excluded.decision
