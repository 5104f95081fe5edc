UPDATE schedule_runs SET
    owner = ?3,
    claimed_by = ?4,
    beat_ms = ?5,
    take_overs = take_overs + iif(beat_ms = 0, 0, 1)
WHERE schedule = ?1 AND slot_ms = ?2 AND state = 'running' AND beat_ms NOT BETWEEN ?6 AND ?7
