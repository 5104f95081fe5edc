UPDATE images SET content_hash = unhex(k.value ->> 2)
FROM json_each(?1) k
WHERE images.id IN (k.value ->> 0, k.value ->> 1)
