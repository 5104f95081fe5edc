-- CROSS JOIN fixes the order: from the few enrolments to review, in the order of their index.
SELECT
    e.image_id, i.uri, s.name AS subject, e.job_id, e.profile_id, e.decision, e.reasons,
    e.decided_at_ms
FROM enrolments e
CROSS JOIN subjects s ON s.id = e.subject_id
CROSS JOIN galleries g ON g.id = s.gallery_id AND g.name = ?1
CROSS JOIN images i ON i.id = e.image_id
WHERE e.decision = 'review' AND e.image_id >= ?2 AND (e.image_id, s.name) > (?2, ?3)
ORDER BY e.image_id, s.name
LIMIT ?4
