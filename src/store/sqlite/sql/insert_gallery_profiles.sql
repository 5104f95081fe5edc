INSERT INTO gallery_profiles (gallery_id, profile_id, touched)
SELECT g.id, k.value ->> 1, 0
FROM json_each(?1) k
CROSS JOIN galleries g ON g.name = k.value ->> 0
WHERE true
ON CONFLICT DO NOTHING
