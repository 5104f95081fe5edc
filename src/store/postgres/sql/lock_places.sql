-- The places of these images, and of those that a verdict gave them the place of.
SELECT
FROM images i
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
WHERE i.id = ANY ($1::bigint[]) OR i.id IN (
    SELECT v.other_image_id
    FROM verdicts v
    WHERE v.image_id = ANY ($1::bigint[]) AND v.verdict = 'moved'
)
ORDER BY s.gallery_id, s.uri_key
FOR NO KEY UPDATE OF s
