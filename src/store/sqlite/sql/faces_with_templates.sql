SELECT
    f.result_id, f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score,
    f.distance, f.score, f.quality, f.norm, t.vector AS template
FROM json_each(?1) k
CROSS JOIN faces f ON f.result_id = k.value
LEFT JOIN templates t ON t.face_id = f.id
