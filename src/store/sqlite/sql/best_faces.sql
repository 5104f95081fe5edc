SELECT
    i.id AS image_id, i.uri, i.content_hash,
    f.result_id, f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score,
    f.distance, f.score, f.quality, f.norm, NULL AS template
FROM faces f
JOIN results r ON r.id = f.result_id
JOIN images i ON i.id = r.image_id
WHERE f.gallery_profile_id = ?1 AND f.superseded = 0 AND f.score IS NOT NULL
ORDER BY f.score DESC, f.quality DESC, f.id DESC
LIMIT ?2
