UPDATE enrolments SET job_id = unhex(k.value ->> 2)
FROM json_each(?1) k
WHERE enrolments.subject_id = k.value ->> 0 AND enrolments.image_id = k.value ->> 1
