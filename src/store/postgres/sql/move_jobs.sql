WITH moved AS (
    SELECT j.campaign_id, j.job_id, j.outcome AS outcome_before, k.outcome AS outcome_now
    FROM unnest($1::uuid[], $2::uuid[], $3::text[]) k (campaign_id, job_id, outcome)
    JOIN campaign_jobs j ON j.campaign_id = k.campaign_id AND j.job_id = k.job_id
    WHERE j.outcome = ANY ($4::text[]) AND j.outcome <> k.outcome
    ORDER BY j.campaign_id, j.job_id
    FOR NO KEY UPDATE OF j
)
UPDATE campaign_jobs j SET outcome = moved.outcome_now
FROM moved
WHERE j.campaign_id = moved.campaign_id AND j.job_id = moved.job_id
RETURNING moved.campaign_id, moved.job_id, moved.outcome_before
