SELECT f.result_id, f.face_index, t.vector AS template
FROM json_each(?1) k
CROSS JOIN faces f ON f.result_id = k.value
CROSS JOIN templates t ON t.face_id = f.id
