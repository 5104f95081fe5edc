-- Images that are to be judged, in the order of their ids.
SELECT
    i.id AS image_id, coalesce(i.verdict_subject, i.subject) AS subject, i.content_hash,
    EXISTS (SELECT 1 FROM subject_references o WHERE o.image_id = i.id)
        OR EXISTS (SELECT 1 FROM enrolments o WHERE o.image_id = i.id) AS enrolled
FROM json_each(?2) k
CROSS JOIN images i ON i.id = k.value
CROSS JOIN galleries g ON g.id = i.gallery_id AND g.name = ?1
ORDER BY i.id
