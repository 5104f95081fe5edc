-- The primary faces of the active references: a row for each subject that one stands for.
SELECT
    f.result_id, f.face_index,
    floor(extract(epoch FROM r.recorded_at) * 1000000)::bigint AS recorded, s.name AS subject
FROM gallery_profiles gp
JOIN subjects s ON s.gallery_id = gp.gallery_id
JOIN subject_references sr ON sr.subject_id = s.id AND sr.set_aside IS NULL
JOIN results r ON r.image_id = sr.image_id AND r.gallery_profile_id = gp.id
JOIN faces f ON f.result_id = r.id AND f.face_index = 0 AND f.score IS NOT NULL
WHERE gp.id = $1
