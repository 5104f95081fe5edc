INSERT INTO profiles (id, definition, created_at_ms)
VALUES (?1, ?2, ?3)
ON CONFLICT DO NOTHING
