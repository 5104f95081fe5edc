UPDATE images SET subject = k.value ->> 1
FROM json_each(?1) k
WHERE images.id = k.value ->> 0
