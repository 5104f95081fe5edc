SELECT e.subject_id, e.image_id, e.job_id, e.decision, e.reasons::text AS reasons
FROM unnest($1::bigint[], $2::bigint[]) k (subject_id, image_id)
JOIN enrolments e ON e.subject_id = k.subject_id AND e.image_id = k.image_id
