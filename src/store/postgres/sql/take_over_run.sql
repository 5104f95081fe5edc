UPDATE schedule_runs SET owner = $3, claimed_by = $4, beat = now()
WHERE schedule = $1 AND slot = 'epoch'::timestamptz + $2 * interval '1 ms'
    AND state = 'running' AND beat < now() - $5 * interval '1 ms'
