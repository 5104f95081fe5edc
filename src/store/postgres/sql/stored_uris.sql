SELECT s.uri
FROM galleries g
JOIN sources s ON s.gallery_id = g.id
WHERE g.name = $1 AND s.uri_key = ANY ($2::uuid[])
