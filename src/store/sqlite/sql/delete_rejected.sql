DELETE FROM enrolments
WHERE (subject_id, image_id) IN (SELECT k.value ->> 0, k.value ->> 1 FROM json_each(?1) k)
    AND decision = 'rejected'
