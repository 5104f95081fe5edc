-- ?2: the gallery with the profile whose templates are wanted, those of active references alone.
-- CROSS JOIN fixes the order: from the few subjects to the big tables.
SELECT
    sr.subject_id, sr.image_id, sr.set_aside, i.content_hash, f.quality, t.vector AS template
FROM json_each(?1) k
CROSS JOIN subject_references sr ON sr.subject_id = k.value
CROSS JOIN images i ON i.id = sr.image_id
LEFT JOIN results r ON r.image_id = sr.image_id AND r.gallery_profile_id = ?2
LEFT JOIN faces f ON f.result_id = r.id AND f.face_index = 0
LEFT JOIN templates t ON t.face_id = f.id AND sr.set_aside IS NULL
ORDER BY sr.subject_id, sr.image_id
