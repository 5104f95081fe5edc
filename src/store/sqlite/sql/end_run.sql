UPDATE schedule_runs SET state = ?4, error = ?5, beat_ms = ?6, ended_at_ms = ?6
WHERE schedule = ?1 AND slot_ms = ?2 AND owner = ?3 AND state = 'running'
