DELETE FROM schedule_runs
WHERE schedule = $1 AND state <> 'running' AND slot < (
    SELECT slot
    FROM schedule_runs
    WHERE schedule = $1 AND state <> 'running'
    ORDER BY slot DESC
    LIMIT 1 OFFSET $2 - 1
)
