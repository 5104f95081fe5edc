-- As reference_stamps.sql, from some results.
SELECT
    f.result_id, f.face_index,
    floor(extract(epoch FROM r.recorded_at) * 1000000)::bigint AS recorded, s.name AS subject
FROM results r
JOIN subject_references sr ON sr.image_id = r.image_id AND sr.set_aside IS NULL
JOIN subjects s ON s.id = sr.subject_id
JOIN faces f ON f.result_id = r.id AND f.face_index = 0 AND f.score IS NOT NULL
WHERE r.id = ANY($2) AND r.gallery_profile_id = $1
