INSERT OR IGNORE INTO removed_contents (content_hash)
SELECT DISTINCT i.content_hash
FROM temp.erased_images x
JOIN images i ON i.id = x.id
WHERE length(i.content_hash) > 0
