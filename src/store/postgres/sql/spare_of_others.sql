-- What another subject has too stays: its label, a reference, an enrolment that was not rejected;
-- but not if a verdict says that the image is of the one who is erased.
DELETE FROM erased_images
WHERE id IN (
    SELECT x.id FROM erased_images x JOIN images i ON i.id = x.id
    WHERE coalesce(i.verdict_subject, i.subject) <> $1
    UNION
    SELECT x.id FROM erased_images x
    JOIN images i ON i.id = x.id
    JOIN subject_references r ON r.image_id = x.id
    JOIN subjects s ON s.id = r.subject_id
    WHERE s.name <> $1 AND (i.verdict_subject IS NULL OR i.verdict_subject <> $1)
    UNION
    SELECT x.id FROM erased_images x
    JOIN images i ON i.id = x.id
    JOIN enrolments e ON e.image_id = x.id
    JOIN subjects s ON s.id = e.subject_id
    WHERE s.name <> $1 AND e.decision <> 'rejected'
        AND (i.verdict_subject IS NULL OR i.verdict_subject <> $1)
)
RETURNING id
