SELECT j.job_id, j.image_id, s.id AS subject_id, s.gallery_id, s.name
FROM json_each(?1) k
CROSS JOIN enrolment_jobs j ON j.job_id = unhex(k.value)
LEFT JOIN subjects s ON s.id = j.subject_id
