UPDATE campaign_jobs SET outcome = k.value ->> 2
FROM json_each(?1) k
WHERE campaign_jobs.campaign_id = unhex(k.value ->> 0)
    AND campaign_jobs.job_id = unhex(k.value ->> 1)
    AND campaign_jobs.outcome IN (SELECT value FROM json_each(?2))
    AND campaign_jobs.outcome <> k.value ->> 2
