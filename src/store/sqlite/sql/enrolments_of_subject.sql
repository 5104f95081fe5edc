SELECT
    e.image_id, i.uri, s.name AS subject, e.job_id, e.profile_id, e.decision, e.reasons,
    e.decided_at_ms
FROM subjects s
CROSS JOIN enrolments e ON e.subject_id = s.id
CROSS JOIN images i ON i.id = e.image_id
WHERE s.id = ?1
ORDER BY e.decided_at_ms DESC, e.image_id DESC
