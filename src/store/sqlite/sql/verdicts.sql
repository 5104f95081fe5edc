-- The latest first. A condition whose value is null is none.
SELECT
    v.id, v.curation_id, v.image_id, i.uri AS uri, v.verdict, v.subject, v.other_image_id, v.undoes,
    c.decided_by, c.reason, c.decided_at_ms AS decided_at_ms,
    (SELECT u.id FROM verdicts u WHERE u.undoes = v.id) AS undone_by
FROM galleries g
CROSS JOIN curations c ON c.gallery_id = g.id
CROSS JOIN verdicts v ON v.curation_id = c.id
CROSS JOIN images i ON i.id = v.image_id
WHERE g.name = ?1
    AND (?2 IS NULL OR v.id < ?2)
    AND (?3 IS NULL OR v.image_id = ?3 OR v.other_image_id = ?3)
    AND (?4 IS NULL OR v.curation_id = ?4)
ORDER BY v.id DESC
LIMIT ?5
