UPDATE subject_references SET set_aside = ?3, since_ms = ?4
WHERE subject_id = ?1 AND image_id = ?2
