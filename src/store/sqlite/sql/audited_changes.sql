-- The oldest first. A condition whose value is null is none. Times are microseconds.
SELECT
    c.changed_at_ms * 1000 AS at_us, c.id, g.name AS gallery, c.changed_by, c.change,
    s.name AS subject, c.image_id
FROM subject_changes c
CROSS JOIN galleries g ON g.id = c.gallery_id
LEFT JOIN subjects s ON s.id = c.subject_id
WHERE (c.changed_at_ms, c.id) > (?2 / 1000, ?3)
    AND (?4 IS NULL OR c.changed_at_ms < ?4 / 1000)
    AND (?1 IS NULL OR g.name = ?1)
ORDER BY c.changed_at_ms, c.id
LIMIT ?5
