-- What a job that is delivered again rejected, of other bytes or of none.
DELETE FROM enrolments
WHERE (subject_id, image_id) IN (
    SELECT e.subject_id, e.image_id
    FROM json_each(?1) k
    CROSS JOIN enrolments e ON e.job_id = unhex(k.value ->> 0)
    WHERE e.image_id <> k.value ->> 1 AND e.decision = 'rejected'
)
