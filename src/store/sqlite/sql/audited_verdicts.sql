-- The oldest first. A condition whose value is null is none. Times are microseconds.
SELECT
    c.decided_at_ms * 1000 AS at_us, g.name AS gallery, c.decided_by, c.id AS curation_id, v.id,
    v.image_id, v.verdict, v.subject, v.other_image_id, v.undoes,
    (SELECT u.id FROM verdicts u WHERE u.undoes = v.id) AS undone_by
FROM curations c
CROSS JOIN verdicts v ON v.curation_id = c.id
CROSS JOIN galleries g ON g.id = c.gallery_id
WHERE (c.decided_at_ms, c.id, v.id) > (?2 / 1000, ?3, ?4)
    AND c.decided_at_ms >= ?2 / 1000
    AND (?5 IS NULL OR c.decided_at_ms < ?5 / 1000)
    AND (?1 IS NULL OR g.name = ?1)
ORDER BY c.decided_at_ms, c.id, v.id
LIMIT ?6
