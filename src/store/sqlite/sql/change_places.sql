WITH pairs AS (
    SELECT value ->> 0 AS one, value ->> 1 AS other FROM json_each(?1)
    UNION ALL
    SELECT value ->> 1, value ->> 0 FROM json_each(?1)
)
UPDATE images
SET uri = o.uri, picture_hash = coalesce(images.picture_hash, o.picture_hash)
FROM pairs p CROSS JOIN images o ON o.id = p.other
WHERE images.id = p.one
