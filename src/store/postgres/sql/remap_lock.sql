-- In the order in which everybody locks sources.
SELECT
FROM unnest($1::bigint[]) k (id)
JOIN results r ON r.id = k.id
JOIN images i ON i.id = r.image_id
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
ORDER BY s.gallery_id, s.uri_key
FOR NO KEY UPDATE OF s
