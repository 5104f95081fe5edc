DELETE FROM schedule_runs
WHERE schedule = ?1 AND state <> 'running' AND slot_ms < (
    SELECT slot_ms
    FROM schedule_runs
    WHERE schedule = ?1 AND state <> 'running'
    ORDER BY slot_ms DESC
    LIMIT 1 OFFSET ?2 - 1
)
