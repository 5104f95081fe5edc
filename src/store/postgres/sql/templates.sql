SELECT t.result_id, t.face_index, t.vector AS template
FROM templates t
JOIN results r ON r.id = t.result_id
WHERE t.profile_id = $2 AND r.gallery_profile_id = $1 AND NOT r.superseded
    AND r.id NOT IN (SELECT id FROM excluded_results WHERE gallery_profile_id = $1)
