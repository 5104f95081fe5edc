INSERT INTO schedules (name, definition, timing, next_due_ms)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (name) DO UPDATE SET
    definition = excluded.definition,
    timing = excluded.timing,
    next_due_ms = iif(timing = excluded.timing, next_due_ms, excluded.next_due_ms)
