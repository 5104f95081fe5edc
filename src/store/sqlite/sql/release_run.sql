UPDATE schedule_runs SET beat_ms = iif(?4, 0, beat_ms), take_overs = 0
WHERE schedule = ?1 AND slot_ms = ?2 AND owner = ?3 AND state = 'running'
