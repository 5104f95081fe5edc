UPDATE enrolments e SET job_id = k.job_id
FROM unnest($1::bigint[], $2::bigint[], $3::uuid[]) k (subject_id, image_id, job_id)
WHERE e.subject_id = k.subject_id AND e.image_id = k.image_id
