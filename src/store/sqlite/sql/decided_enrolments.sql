SELECT e.subject_id, e.image_id, e.job_id, e.decision, e.reasons
FROM json_each(?1) k
CROSS JOIN enrolments e ON e.subject_id = k.value ->> 0 AND e.image_id = k.value ->> 1
