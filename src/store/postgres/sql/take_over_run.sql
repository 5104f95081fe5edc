UPDATE schedule_runs SET
    owner = $3,
    claimed_by = $4,
    beat = now(),
    take_overs = take_overs + CASE WHEN beat = 'epoch' THEN 0 ELSE 1 END
WHERE schedule = $1 AND slot = 'epoch'::timestamptz + $2 * interval '1 ms'
    AND state = 'running'
    AND beat NOT BETWEEN now() - $5 * interval '1 ms' AND now() + $5 * interval '1 ms'
