-- Images that are to be judged, in the order of their ids.
SELECT i.id AS image_id, coalesce(i.verdict_subject, i.subject) AS subject, i.content_hash
FROM json_each(?2) k
CROSS JOIN images i ON i.id = k.value
CROSS JOIN galleries g ON g.id = i.gallery_id AND g.name = ?1
ORDER BY i.id
