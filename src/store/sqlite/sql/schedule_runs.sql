SELECT
    schedule, slot_ms, campaign_id, state, plan, claimed_by,
    state = 'running' AND beat_ms < ?4 AS silent, started_at_ms, ended_at_ms, error
FROM schedule_runs
WHERE (?1 IS NULL OR schedule = ?1) AND (state = 'running' OR NOT ?2)
ORDER BY slot_ms DESC, schedule
LIMIT ?3
