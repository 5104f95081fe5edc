SELECT
    f.result_id, f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score,
    f.distance, f.score, f.quality, f.norm, NULL::halfvec AS template
FROM unnest($1::bigint[]) k (id)
JOIN faces f ON f.result_id = k.id
