SELECT k.ordinal - 1 AS place
FROM unnest($3::uuid[], $4::text[]) WITH ORDINALITY k (uri_key, subject, ordinal)
JOIN galleries g ON g.name = $1
JOIN gallery_profiles gp ON gp.gallery_id = g.id AND gp.profile_id = $2
JOIN images i ON i.gallery_id = g.id AND i.uri_key = k.uri_key
JOIN results r ON r.image_id = i.id AND r.gallery_profile_id = gp.id AND NOT r.superseded
JOIN subjects s ON s.gallery_id = g.id AND s.name = k.subject
JOIN enrolments e ON e.subject_id = s.id AND e.image_id = i.id
-- A later result may have no face to find the subject by.
JOIN templates t ON t.profile_id = $2 AND t.result_id = r.id AND t.face_index = 0
WHERE e.decision = 'accepted'
