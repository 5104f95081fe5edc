SELECT i.id, i.uri, i.content_hash, i.subject
FROM temp.erased_images x
JOIN images i ON i.id = x.id
ORDER BY i.id
