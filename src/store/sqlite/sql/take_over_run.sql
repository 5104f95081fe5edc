UPDATE schedule_runs SET owner = ?3, claimed_by = ?4, beat_ms = ?5
WHERE schedule = ?1 AND slot_ms = ?2 AND state = 'running' AND beat_ms < ?6
