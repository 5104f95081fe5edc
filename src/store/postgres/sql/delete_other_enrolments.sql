-- What a job that is delivered again rejected, of other bytes or of none.
DELETE FROM enrolments e
USING unnest($1::uuid[], $2::bigint[]) k (job_id, image_id)
WHERE e.job_id = k.job_id AND e.image_id <> k.image_id AND e.decision = 'rejected'
