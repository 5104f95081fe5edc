SELECT
    e.image_id, i.uri, s.name AS subject, e.job_id, e.profile_id, e.decision, e.reasons,
    e.decided_at_ms
FROM json_each(?1) k
CROSS JOIN enrolments e ON e.image_id = k.value
CROSS JOIN images i ON i.id = e.image_id
CROSS JOIN subjects s ON s.id = e.subject_id
ORDER BY e.decided_at_ms DESC, e.image_id DESC, s.name
