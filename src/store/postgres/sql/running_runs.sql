SELECT
    schedule, floor(extract(epoch FROM slot) * 1000)::bigint AS slot_ms, campaign_id, state, plan,
    claimed_by,
    state = 'running'
        AND beat NOT BETWEEN now() - $3 * interval '1 ms' AND now() + $3 * interval '1 ms' AS silent,
    take_overs, floor(extract(epoch FROM started_at) * 1000)::bigint AS started_at_ms,
    floor(extract(epoch FROM ended_at) * 1000)::bigint AS ended_at_ms, error
FROM schedule_runs
WHERE state = 'running' AND ($1::text IS NULL OR schedule = $1)
ORDER BY slot DESC, schedule
LIMIT $2
