INSERT INTO galleries (name)
SELECT DISTINCT k.name
FROM unnest($1::text[]) k (name)
ORDER BY k.name
ON CONFLICT DO NOTHING
