SELECT id
FROM results
WHERE gallery_profile_id = ?1 AND noted = 1 AND outcome = ?2 AND id > ?3
    AND (?5 IS NULL OR recorded_at_ms >= ?5)
ORDER BY id
LIMIT ?4
