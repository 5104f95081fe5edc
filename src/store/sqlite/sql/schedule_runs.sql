SELECT
    schedule, slot_ms, campaign_id, state, plan, claimed_by,
    state = 'running' AND beat_ms NOT BETWEEN ?3 AND ?4 AS silent, take_overs, started_at_ms,
    ended_at_ms, error
FROM schedule_runs
WHERE ?1 IS NULL OR schedule = ?1
ORDER BY slot_ms DESC, schedule
LIMIT ?2
