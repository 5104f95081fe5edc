INSERT INTO erasure_contents (erasure_id, content_hash)
SELECT DISTINCT $1::uuid, i.content_hash
FROM erased_images x
JOIN images i ON i.id = x.id
WHERE octet_length(i.content_hash) > 0
ON CONFLICT DO NOTHING
