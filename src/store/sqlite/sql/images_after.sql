SELECT id, uri, content_hash, subject
FROM images
WHERE +gallery_id = ?1 AND id > ?2
ORDER BY id
LIMIT ?3
