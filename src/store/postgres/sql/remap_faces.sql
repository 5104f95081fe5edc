-- The quality is the number of cutoffs, which ascend, that do not exceed the score.
INSERT INTO faces (
    result_id, face_index, gallery_profile_id, x, y, width, height, landmarks,
    detector_score, distance, score, quality, norm
)
SELECT
    k.target_id, f.face_index, $3, f.x, f.y, f.width, f.height, f.landmarks,
    f.detector_score, f.distance, f.score,
    width_bucket(f.score, $4::double precision[])::smallint, f.norm
FROM unnest($1::bigint[], $2::bigint[]) k (source_id, target_id)
JOIN faces f ON f.result_id = k.source_id
