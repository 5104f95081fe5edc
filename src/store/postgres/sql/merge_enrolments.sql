-- Of an image that both enrolled, the decision of the new subject stays.
UPDATE enrolments e SET subject_id = $2
WHERE e.subject_id = $1
    AND NOT EXISTS (SELECT FROM enrolments o WHERE o.subject_id = $2 AND o.image_id = e.image_id)
