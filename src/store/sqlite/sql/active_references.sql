SELECT sr.image_id, s.name AS subject
FROM galleries g
CROSS JOIN subjects s ON s.gallery_id = g.id
CROSS JOIN subject_references sr ON sr.subject_id = s.id
WHERE g.name = ?1 AND sr.set_aside IS NULL AND (sr.image_id, s.name) > (?2, ?3)
ORDER BY sr.image_id, s.name
LIMIT ?4
