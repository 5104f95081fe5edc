-- The next images of a gallery, and whether they are due.
SELECT
    i.id,
    i.subject IS NULL AND i.verdict_subject IS NULL
        AND NOT EXISTS (SELECT 1 FROM subject_references s WHERE s.image_id = i.id)
        AND NOT EXISTS (SELECT 1 FROM enrolments e WHERE e.image_id = i.id)
        AND NOT EXISTS (
            SELECT 1 FROM results r WHERE r.image_id = i.id AND r.recorded_at_ms >= ?2
        ) AS due
FROM images i
WHERE +i.gallery_id = ?1 AND i.id > ?3
ORDER BY i.id
LIMIT ?4
