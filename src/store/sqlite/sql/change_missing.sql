-- That nothing is at a place is said of the image that is there.
WITH pairs AS (
    SELECT value ->> 0 AS one, value ->> 1 AS other FROM json_each(?1)
    UNION ALL
    SELECT value ->> 1, value ->> 0 FROM json_each(?1)
)
UPDATE missing_images SET image_id = p.other
FROM pairs p
WHERE missing_images.image_id = p.one
    AND NOT EXISTS (SELECT 1 FROM missing_images o WHERE o.image_id = p.other)
