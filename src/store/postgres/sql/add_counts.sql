INSERT INTO campaign_outcomes AS o (campaign_id, outcome, jobs, faces)
SELECT k.campaign_id, k.outcome, k.jobs, k.faces
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::bigint[])
    k (campaign_id, outcome, jobs, faces)
ORDER BY k.campaign_id, k.outcome
ON CONFLICT (campaign_id, outcome) DO UPDATE SET
    jobs = o.jobs + excluded.jobs,
    faces = o.faces + excluded.faces
