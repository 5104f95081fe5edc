SELECT id
FROM results
WHERE gallery_profile_id = ?1 AND superseded = 0 AND outcome = ?2 AND id > ?3
    AND id NOT IN (SELECT id FROM excluded_results WHERE gallery_profile_id = ?1)
ORDER BY id
LIMIT ?4
