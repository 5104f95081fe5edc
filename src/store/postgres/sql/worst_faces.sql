SELECT
    i.id AS image_id, s.uri, i.content_hash,
    f.result_id, f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score,
    f.distance, f.score, f.quality, f.norm, NULL::halfvec AS template
FROM faces f
JOIN results r ON r.id = f.result_id
JOIN images i ON i.id = r.image_id
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
WHERE f.gallery_profile_id = $1 AND NOT f.superseded AND f.score IS NOT NULL
ORDER BY f.score, f.quality, f.result_id, f.face_index
LIMIT $2
