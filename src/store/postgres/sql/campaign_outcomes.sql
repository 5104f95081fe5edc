SELECT campaign_id, outcome, jobs, faces
FROM campaign_outcomes
WHERE campaign_id = ANY ($1::uuid[]) AND jobs > 0
