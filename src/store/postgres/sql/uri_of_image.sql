SELECT s.uri
FROM images i
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
WHERE i.id = $1
