DELETE FROM enrolments e
USING unnest($1::bigint[], $2::bigint[]) k (subject_id, image_id)
WHERE e.subject_id = k.subject_id AND e.image_id = k.image_id AND e.decision = 'rejected'
