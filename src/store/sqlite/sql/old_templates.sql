SELECT face_id, dimension, vector
FROM templates_float32
WHERE face_id > ?1
ORDER BY face_id
LIMIT ?2
