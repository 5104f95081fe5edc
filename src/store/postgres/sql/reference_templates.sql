SELECT s.name AS subject, sr.image_id, f.quality, t.vector AS template
FROM galleries g
JOIN gallery_profiles gp ON gp.gallery_id = g.id AND gp.profile_id = $2
JOIN subjects s ON s.gallery_id = g.id
JOIN subject_references sr ON sr.subject_id = s.id AND sr.set_aside IS NULL
JOIN results r ON r.image_id = sr.image_id AND r.gallery_profile_id = gp.id
JOIN faces f ON f.result_id = r.id AND f.face_index = 0
JOIN templates t ON t.profile_id = $2 AND t.result_id = r.id AND t.face_index = 0
WHERE g.name = $1 AND ($3::text IS NULL OR s.name = $3)
ORDER BY s.name, sr.image_id
