-- The oldest first. A condition whose value is null is none. Times are microseconds.
SELECT
    e.decided_at_ms * 1000 AS at_us, g.name AS gallery, e.subject_id, s.name AS subject, e.image_id,
    e.decision, e.reasons, e.job_id, e.profile_id
FROM enrolments e
CROSS JOIN subjects s ON s.id = e.subject_id
CROSS JOIN galleries g ON g.id = s.gallery_id
WHERE (e.decided_at_ms, e.subject_id, e.image_id) > (?2 / 1000, ?3, ?4)
    AND (?5 IS NULL OR e.decided_at_ms < ?5 / 1000)
    AND (?1 IS NULL OR g.name = ?1)
ORDER BY e.decided_at_ms, e.subject_id, e.image_id
LIMIT ?6
