UPDATE subject_references SET set_aside = $3, since = now()
WHERE subject_id = $1 AND image_id = $2
