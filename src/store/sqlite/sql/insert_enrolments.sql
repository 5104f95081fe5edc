INSERT INTO enrolments (
    subject_id, image_id, job_id, profile_id, decision, reasons, decided_at_ms
)
{rows}
ON CONFLICT (subject_id, image_id) DO UPDATE SET
    job_id = excluded.job_id,
    profile_id = excluded.profile_id,
    decision = excluded.decision,
    reasons = excluded.reasons,
    decided_at_ms = excluded.decided_at_ms
