SELECT k.job_id
FROM unnest($2::uuid[]) WITH ORDINALITY k (job_id, ordinal)
WHERE NOT EXISTS (
    SELECT
    FROM campaign_jobs c
    WHERE c.campaign_id = $1 AND c.job_id = k.job_id
)
ORDER BY k.ordinal
