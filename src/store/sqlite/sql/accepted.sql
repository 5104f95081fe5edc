SELECT k.key AS place
FROM json_each(?3) k
CROSS JOIN galleries g ON g.name = ?1
CROSS JOIN gallery_profiles gp ON gp.gallery_id = g.id AND gp.profile_id = ?2
CROSS JOIN images i ON i.gallery_id = g.id AND i.uri = k.value ->> 0
CROSS JOIN results r ON r.image_id = i.id AND r.gallery_profile_id = gp.id AND r.superseded = 0
CROSS JOIN subjects s ON s.gallery_id = g.id AND s.name = k.value ->> 1
CROSS JOIN enrolments e ON e.subject_id = s.id AND e.image_id = i.id
-- A later result may have no face to find the subject by.
CROSS JOIN faces f ON f.result_id = r.id AND f.face_index = 0
CROSS JOIN templates t ON t.face_id = f.id
WHERE e.decision = 'accepted'
