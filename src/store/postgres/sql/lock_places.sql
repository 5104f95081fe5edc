SELECT
FROM images i
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
WHERE i.id = ANY ($1::bigint[] || $2::bigint[])
ORDER BY s.gallery_id, s.uri_key
FOR NO KEY UPDATE OF s
