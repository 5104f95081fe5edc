INSERT INTO subjects (gallery_id, name, created_at_ms)
SELECT value ->> 0, value ->> 1, ?2
FROM json_each(?1)
WHERE true
ON CONFLICT (gallery_id, name) DO NOTHING
