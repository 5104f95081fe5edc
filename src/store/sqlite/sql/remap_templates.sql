INSERT INTO templates (face_id, dimension, vector)
SELECT n.id, t.dimension, t.vector
FROM json_each(?1) k
CROSS JOIN faces n ON n.result_id = k.value ->> 1
CROSS JOIN faces f ON f.result_id = k.value ->> 0 AND f.face_index = n.face_index
CROSS JOIN templates t ON t.face_id = f.id
ORDER BY n.id
