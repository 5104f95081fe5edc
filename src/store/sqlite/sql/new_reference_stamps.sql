-- As reference_stamps.sql, from the references whose state changed lately.
SELECT f.result_id, f.face_index, r.recorded_at_ms AS recorded, s.name AS subject
FROM subject_references sr
CROSS JOIN subjects s ON s.id = sr.subject_id
CROSS JOIN results r ON r.image_id = sr.image_id AND r.gallery_profile_id = ?1
CROSS JOIN faces f ON f.result_id = r.id AND f.face_index = 0 AND f.score IS NOT NULL
WHERE sr.since_ms >= ?2 AND sr.set_aside IS NULL
