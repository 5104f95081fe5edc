-- References of images with new verdicts: those that a verdict excludes, or gives to another
-- subject, do not count, and the others do as before.
UPDATE subject_references
SET set_aside = iif(set_aside IS NULL, 'verdict', NULL), since_ms = ?2
WHERE image_id IN (SELECT value FROM json_each(?1))
    AND (set_aside IS NULL OR set_aside = 'verdict')
    AND (set_aside IS NULL) = coalesce((
        SELECT i.excluded = 1 OR i.verdict_subject <> s.name
        FROM images i
        CROSS JOIN subjects s ON s.id = subject_references.subject_id
        WHERE i.id = subject_references.image_id
    ), 0)
RETURNING subject_id, image_id, set_aside IS NULL AS is_active
