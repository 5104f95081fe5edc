SELECT k.key AS job_index
FROM json_each(?2) k
WHERE NOT EXISTS (
    SELECT 1
    FROM campaign_jobs
    WHERE campaign_id = ?1 AND job_id = unhex(k.value)
)
ORDER BY k.key
