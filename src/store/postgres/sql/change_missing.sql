-- That nothing is at a place is said of the image that is there.
WITH pairs AS (
    SELECT k.one, k.other FROM unnest($1::bigint[], $2::bigint[]) k (one, other)
    UNION ALL
    SELECT k.other, k.one FROM unnest($1::bigint[], $2::bigint[]) k (one, other)
)
UPDATE missing_images m SET image_id = p.other
FROM pairs p
WHERE m.image_id = p.one
    AND NOT EXISTS (SELECT FROM missing_images o WHERE o.image_id = p.other)
