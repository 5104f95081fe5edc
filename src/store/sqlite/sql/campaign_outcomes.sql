SELECT o.campaign_id, o.outcome, o.jobs, o.faces
FROM json_each(?1) k
CROSS JOIN campaign_outcomes o ON o.campaign_id = unhex(k.value)
WHERE o.jobs > 0
