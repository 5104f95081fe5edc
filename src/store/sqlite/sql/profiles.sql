SELECT id, definition, created_at_ms AS registered_at_ms
FROM profiles
ORDER BY created_at_ms, id
