INSERT INTO galleries (name, created_at_ms)
SELECT DISTINCT k.value ->> 0, ?2
FROM json_each(?1) k
WHERE true
ON CONFLICT DO NOTHING
