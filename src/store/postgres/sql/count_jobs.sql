INSERT INTO campaign_jobs (campaign_id, job_id, outcome)
SELECT k.campaign_id, k.job_id, k.outcome
FROM unnest($1::uuid[], $2::uuid[], $3::text[]) k (campaign_id, job_id, outcome)
JOIN campaigns c ON c.id = k.campaign_id
ORDER BY k.campaign_id, k.job_id
ON CONFLICT DO NOTHING
RETURNING campaign_id, job_id, NULL::text AS outcome_before
