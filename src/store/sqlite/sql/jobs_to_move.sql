SELECT j.campaign_id, j.job_id, j.outcome AS outcome_before
FROM json_each(?1) k
CROSS JOIN campaign_jobs j
    ON j.campaign_id = unhex(k.value ->> 0) AND j.job_id = unhex(k.value ->> 1)
WHERE j.outcome IN (SELECT value FROM json_each(?2)) AND j.outcome <> k.value ->> 2
