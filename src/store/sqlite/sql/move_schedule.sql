UPDATE schedules SET next_due_ms = ?4
WHERE name = ?1 AND definition = ?2 AND next_due_ms IS ?3
    AND NOT EXISTS (
        SELECT 1
        FROM schedule_runs
        WHERE schedule = ?1 AND state = 'running'
    )
