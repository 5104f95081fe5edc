SELECT i.id, s.uri, i.content_hash, i.subject
FROM images i
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
WHERE i.gallery_id = $1 AND i.id > $2
ORDER BY i.id
LIMIT $3
