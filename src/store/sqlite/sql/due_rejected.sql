-- The rejected enrolments that are due, of the next images that have some.
WITH old AS (
    SELECT DISTINCT e.image_id
    FROM enrolments e
    JOIN images i ON i.id = e.image_id
    WHERE i.gallery_id = ?1
        AND e.decision = 'rejected' AND e.decided_at_ms < ?2 AND e.image_id > ?3
    ORDER BY e.image_id
    LIMIT ?4
)
SELECT
    e.image_id, e.subject_id,
    i.subject IS NULL AND i.verdict_subject IS NULL
        AND NOT EXISTS (SELECT 1 FROM subject_references s WHERE s.image_id = i.id)
        AND NOT EXISTS (
            SELECT 1 FROM enrolments o
            WHERE o.image_id = i.id AND (o.decision <> 'rejected' OR o.decided_at_ms >= ?2)
        ) AS alone
FROM old
JOIN enrolments e ON e.image_id = old.image_id
JOIN images i ON i.id = old.image_id
WHERE e.decision = 'rejected' AND e.decided_at_ms < ?2
ORDER BY e.image_id, e.subject_id
