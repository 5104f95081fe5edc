DELETE FROM enrolment_jobs j
USING unnest($1::bigint[], $2::bigint[]) k (subject_id, image_id)
WHERE j.subject_id = k.subject_id AND j.image_id = k.image_id AND j.decision = 'rejected'
