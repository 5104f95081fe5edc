INSERT INTO subject_changes (gallery_id, subject_id, image_id, change, changed_by, changed_at_ms)
SELECT g.id, ?2, ?3, ?4, ?5, ?6 FROM galleries g WHERE g.name = ?1
