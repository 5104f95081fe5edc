UPDATE schedule_runs SET beat_ms = ?4
WHERE schedule = ?1 AND slot_ms = ?2 AND owner = ?3 AND state = 'running'
