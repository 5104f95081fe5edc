-- The primary faces of the active references: a row for each subject that one stands for. CROSS
-- JOIN fixes the order: from the subjects to the big tables.
SELECT f.result_id, f.face_index, r.recorded_at_ms AS recorded, s.name AS subject
FROM gallery_profiles gp
CROSS JOIN subjects s ON s.gallery_id = gp.gallery_id
CROSS JOIN subject_references sr ON sr.subject_id = s.id AND sr.set_aside IS NULL
CROSS JOIN results r ON r.image_id = sr.image_id AND r.gallery_profile_id = gp.id
CROSS JOIN faces f ON f.result_id = r.id AND f.face_index = 0 AND f.score IS NOT NULL
WHERE gp.id = ?1
