INSERT INTO removed_contents (content_hash)
SELECT DISTINCT i.content_hash
FROM erased_images x
JOIN images i ON i.id = x.id
WHERE octet_length(i.content_hash) > 0
ON CONFLICT DO NOTHING
