UPDATE schedule_runs SET beat = CASE WHEN $4 THEN 'epoch' ELSE beat END, take_overs = 0
WHERE schedule = $1 AND slot = 'epoch'::timestamptz + $2 * interval '1 ms' AND owner = $3
    AND state = 'running'
