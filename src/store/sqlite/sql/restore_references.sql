-- References of a subject, and of the one that it becomes part of, that count again: verdicts give
-- their images to its new name.
UPDATE subject_references SET set_aside = NULL, since_ms = ?3
WHERE set_aside = 'verdict'
    AND subject_id IN (
        SELECT s.id FROM subjects old
        JOIN subjects s ON s.id = old.id OR (s.gallery_id = old.gallery_id AND s.name = ?2)
        WHERE old.id = ?1
    )
    AND image_id IN (SELECT i.id FROM images i WHERE i.verdict_subject = ?2 AND i.excluded = 0)
RETURNING subject_id, image_id
