-- As reference_stamps.sql, from some results.
SELECT f.result_id, f.face_index, r.recorded_at_ms AS recorded, s.name AS subject
FROM json_each(?2) k
CROSS JOIN results r ON r.id = k.value AND r.gallery_profile_id = ?1
CROSS JOIN subject_references sr ON sr.image_id = r.image_id AND sr.set_aside IS NULL
CROSS JOIN subjects s ON s.id = sr.subject_id
CROSS JOIN faces f ON f.result_id = r.id AND f.face_index = 0 AND f.score IS NOT NULL
