INSERT OR IGNORE INTO erasure_contents (erasure_id, content_hash)
SELECT DISTINCT ?1, i.content_hash
FROM temp.erased_images x
JOIN images i ON i.id = x.id
WHERE length(i.content_hash) > 0
