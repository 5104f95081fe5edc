INSERT INTO schedules (name, definition, timing, next_due)
VALUES ($1, $2, $3, 'epoch'::timestamptz + $4 * interval '1 ms')
ON CONFLICT (name) DO UPDATE SET
    definition = excluded.definition,
    timing = excluded.timing,
    next_due = CASE
        WHEN schedules.timing = excluded.timing THEN schedules.next_due
        ELSE excluded.next_due
    END
