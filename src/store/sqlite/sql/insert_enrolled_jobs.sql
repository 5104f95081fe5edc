INSERT INTO enrolment_jobs (job_id, subject_id, image_id, decision)
{rows}
ON CONFLICT (job_id) DO UPDATE SET
    subject_id = excluded.subject_id,
    image_id = excluded.image_id,
    decision = excluded.decision
