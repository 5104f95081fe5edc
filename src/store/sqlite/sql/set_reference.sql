-- A reference that a verdict excludes, or gives to another subject, does not count.
UPDATE subject_references
SET set_aside = iif(?3 IS NULL AND (
        SELECT i.excluded = 1 OR i.verdict_subject <> s.name
        FROM images i
        CROSS JOIN subjects s ON s.id = ?1
        WHERE i.id = ?2
    ), 'verdict', ?3),
    since_ms = ?4
WHERE subject_id = ?1 AND image_id = ?2
