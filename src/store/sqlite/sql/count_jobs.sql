INSERT INTO campaign_jobs (campaign_id, job_id, outcome)
SELECT c.id, unhex(k.value ->> 1), k.value ->> 2
FROM json_each(?1) k
CROSS JOIN campaigns c ON c.id = unhex(k.value ->> 0)
WHERE true
ON CONFLICT DO NOTHING
RETURNING campaign_id, job_id, NULL AS outcome_before
