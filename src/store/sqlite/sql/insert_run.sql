INSERT INTO schedule_runs (
    schedule, slot_ms, campaign_id, state, plan, owner, claimed_by, started_at_ms, beat_ms,
    ended_at_ms, error
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?8, iif(?4 = 'running', NULL, ?8), ?9)
ON CONFLICT DO NOTHING
