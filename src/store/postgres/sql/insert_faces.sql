INSERT INTO faces (
    result_id, face_index, gallery_profile_id, x, y, width, height, landmarks,
    detector_score, distance, score, quality, norm
)
SELECT
    k.result_id, k.face_index, k.gallery_profile_id, k.x, k.y, k.width, k.height, k.landmarks,
    k.detector_score, k.distance, k.score, k.quality, k.norm
FROM unnest(
    $1::bigint[], $2::integer[], $3::bigint[], $4::real[], $5::real[], $6::real[], $7::real[],
    $8::bytea[], $9::real[], $10::double precision[], $11::double precision[], $12::smallint[],
    $13::real[]
) k (
    result_id, face_index, gallery_profile_id, x, y, width, height,
    landmarks, detector_score, distance, score, quality, norm
)
