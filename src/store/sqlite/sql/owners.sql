-- Whose these images are, by their bytes: the subjects that they, or images of the same bytes in the
-- gallery, belong to by a label, a reference or an enrolment that was not rejected.
WITH given AS (SELECT value AS id FROM json_each(?1)),
same AS (
    SELECT id, id AS image_id FROM given
    UNION
    SELECT g.id, o.id
    FROM given g
    CROSS JOIN images i ON i.id = g.id
    CROSS JOIN images o ON o.content_hash = i.content_hash AND +o.gallery_id = i.gallery_id
    WHERE o.content_hash <> x''
)
SELECT s.id, coalesce(i.verdict_subject, i.subject) AS name
FROM same s
CROSS JOIN images i ON i.id = s.image_id
WHERE coalesce(i.verdict_subject, i.subject) IS NOT NULL
UNION
SELECT s.id, p.name
FROM same s
CROSS JOIN images i ON i.id = s.image_id
CROSS JOIN subject_references r ON r.image_id = i.id
CROSS JOIN subjects p ON p.id = r.subject_id
WHERE i.verdict_subject IS NULL OR i.verdict_subject = p.name
UNION
SELECT s.id, p.name
FROM same s
CROSS JOIN images i ON i.id = s.image_id
CROSS JOIN enrolments e ON e.image_id = i.id AND e.decision <> 'rejected'
CROSS JOIN subjects p ON p.id = e.subject_id
WHERE i.verdict_subject IS NULL OR i.verdict_subject = p.name
