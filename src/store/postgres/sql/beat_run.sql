UPDATE schedule_runs SET beat = now()
WHERE schedule = $1 AND slot = 'epoch'::timestamptz + $2 * interval '1 ms' AND owner = $3
    AND state = 'running'
