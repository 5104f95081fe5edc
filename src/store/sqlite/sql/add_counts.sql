INSERT INTO campaign_outcomes (campaign_id, outcome, jobs, faces)
VALUES (?1, ?2, ?3, ?4)
ON CONFLICT DO UPDATE SET jobs = jobs + excluded.jobs, faces = faces + excluded.faces
