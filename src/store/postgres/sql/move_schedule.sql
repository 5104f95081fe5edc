UPDATE schedules SET next_due = 'epoch'::timestamptz + $4 * interval '1 ms'
WHERE name = $1 AND definition = $2
    AND next_due IS NOT DISTINCT FROM 'epoch'::timestamptz + $3 * interval '1 ms'
    AND NOT EXISTS (
        SELECT
        FROM schedule_runs
        WHERE schedule = $1 AND state = 'running'
    )
