-- Images that are to be judged, locked in the order of their ids.
SELECT
    i.id AS image_id, coalesce(i.verdict_subject, i.subject) AS subject, i.content_hash,
    EXISTS (SELECT FROM subject_references o WHERE o.image_id = i.id)
        OR EXISTS (SELECT FROM enrolments o WHERE o.image_id = i.id) AS enrolled
FROM images i
JOIN galleries g ON g.id = i.gallery_id AND g.name = $1
WHERE i.id = ANY ($2::bigint[])
ORDER BY i.id
FOR NO KEY UPDATE OF i
