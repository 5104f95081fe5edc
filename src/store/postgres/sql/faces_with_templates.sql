SELECT
    f.result_id, f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score,
    f.distance, f.score, f.quality, f.norm, t.vector AS template
FROM unnest($1::bigint[]) k (id)
JOIN faces f ON f.result_id = k.id
LEFT JOIN templates t
    ON t.profile_id = $2 AND t.result_id = f.result_id AND t.face_index = f.face_index
