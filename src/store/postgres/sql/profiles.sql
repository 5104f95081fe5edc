SELECT
    id, definition, floor(extract(epoch FROM created_at) * 1000)::bigint AS registered_at_ms
FROM profiles
ORDER BY created_at, id
