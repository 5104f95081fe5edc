SELECT
FROM unnest($1::bigint[], $2::uuid[]) k (gallery_id, uri_key)
JOIN sources s ON s.gallery_id = k.gallery_id AND s.uri_key = k.uri_key
ORDER BY s.gallery_id, s.uri_key
FOR NO KEY UPDATE OF s
