SELECT DISTINCT i.content_hash
FROM json_each(?2) k
CROSS JOIN images i ON i.content_hash = unhex(k.value) AND i.content_hash <> x''
CROSS JOIN galleries g ON g.id = i.gallery_id
WHERE g.name <> ?1
