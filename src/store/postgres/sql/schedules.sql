SELECT name, definition, floor(extract(epoch FROM next_due) * 1000)::bigint AS next_due_ms
FROM schedules
ORDER BY name
