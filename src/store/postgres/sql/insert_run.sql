INSERT INTO schedule_runs (
    schedule, slot, campaign_id, state, plan, owner, claimed_by, ended_at, error
)
VALUES (
    $1, 'epoch'::timestamptz + $2 * interval '1 ms', $3, $4, $5, $6, $7,
    CASE WHEN $4 <> 'running' THEN now() END, $8
)
ON CONFLICT DO NOTHING
