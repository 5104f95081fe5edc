SELECT
    count(*) FILTER (WHERE e.decision = 'accepted') AS accepted,
    count(*) FILTER (WHERE e.decision = 'accepted' AND EXISTS (
        SELECT 1 FROM subject_references sr
        WHERE sr.subject_id = e.subject_id AND sr.image_id = e.image_id AND sr.set_aside IS NULL
    )) AS accepted_references,
    count(*) FILTER (WHERE e.decision = 'accepted' AND EXISTS (
        SELECT 1 FROM subject_references sr
        WHERE sr.subject_id = e.subject_id AND sr.image_id = e.image_id
            AND sr.set_aside = 'verdict'
    )) AS ruled_out,
    count(*) FILTER (WHERE e.decision = 'review') AS review,
    count(*) FILTER (WHERE e.decision = 'rejected') AS rejected,
    count(DISTINCT e.subject_id) AS subjects,
    count(DISTINCT e.subject_id) FILTER (WHERE EXISTS (
        SELECT FROM subject_references sr
        WHERE sr.subject_id = e.subject_id AND sr.set_aside IS NULL
    )) AS enrolled_subjects
FROM campaign_jobs c
JOIN enrolment_jobs e ON e.job_id = c.job_id
WHERE c.campaign_id = $1
