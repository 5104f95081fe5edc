INSERT INTO subject_changes (gallery_id, subject_id, image_id, change, changed_by)
SELECT g.id, $2::bigint, $3::bigint, $4, $5 FROM galleries g WHERE g.name = $1
