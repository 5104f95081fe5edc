UPDATE subject_references SET set_aside = ?4, since_ms = ?5
WHERE image_id = ?3 AND subject_id = (
    SELECT s.id FROM subjects s JOIN galleries g ON g.id = s.gallery_id
    WHERE g.name = ?1 AND s.name = ?2
)
