UPDATE results SET stamp = k.value ->> 1
FROM json_each(?1) k
WHERE results.id = k.value ->> 0
