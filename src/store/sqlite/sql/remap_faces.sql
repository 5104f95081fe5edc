-- The quality is the highest one whose cutoff does not exceed the score. Without a score there is
-- none.
INSERT INTO faces (
    result_id, face_index, gallery_profile_id, x, y, width, height, landmarks,
    detector_score, distance, score, quality, norm
)
SELECT
    k.value ->> 1, f.face_index, ?2, f.x, f.y, f.width, f.height, f.landmarks,
    f.detector_score, f.distance, f.score,
    (SELECT c.quality FROM temp.cutoffs c WHERE c.score <= f.score
        ORDER BY c.score DESC, c.quality DESC LIMIT 1),
    f.norm
FROM json_each(?1) k
CROSS JOIN faces f ON f.result_id = k.value ->> 0
ORDER BY k.key, f.face_index
