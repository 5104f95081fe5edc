SELECT f.result_id, f.face_index, r.recorded_at_ms AS recorded, NULL AS subject
FROM json_each(?2) k
CROSS JOIN results r ON r.id = k.value AND r.gallery_profile_id = ?1
CROSS JOIN faces f ON f.result_id = r.id AND f.score IS NOT NULL
WHERE r.superseded = 0 AND r.outcome = 'scored'
    AND r.id NOT IN (SELECT id FROM excluded_results WHERE gallery_profile_id = ?1)
