-- References of a subject, and of the one that it becomes part of, that count again: verdicts give
-- their images to its new name.
UPDATE subject_references r SET set_aside = NULL, since = now()
FROM images i, subjects old, subjects s
WHERE r.set_aside = 'verdict' AND r.subject_id = s.id AND old.id = $1
    AND (s.id = old.id OR (s.gallery_id = old.gallery_id AND s.name = $2))
    AND i.id = r.image_id AND i.verdict_subject = $2 AND NOT i.excluded
RETURNING r.subject_id, r.image_id
