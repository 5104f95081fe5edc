SELECT j.job_id, j.image_id, s.id AS subject_id, s.gallery_id, s.name
FROM enrolment_jobs j
LEFT JOIN subjects s ON s.id = j.subject_id
WHERE j.job_id = ANY ($1::uuid[])
