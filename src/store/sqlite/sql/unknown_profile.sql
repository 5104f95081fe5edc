SELECT k.value ->> 1 AS profile_id
FROM json_each(?1) k
WHERE NOT EXISTS (SELECT 1 FROM profiles p WHERE p.id = k.value ->> 1)
LIMIT 1
