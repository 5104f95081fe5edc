-- As page_ids_filtered.sql, but from the few images to their results.
SELECT r.id
FROM gallery_profiles gp
CROSS JOIN images i
    ON i.gallery_id = gp.gallery_id AND i.uri IN (SELECT value FROM json_each(?8))
CROSS JOIN results r ON r.image_id = i.id AND r.gallery_profile_id = gp.id
WHERE gp.id = ?1 AND r.superseded = 0 AND r.outcome = ?2 AND r.id > ?3 AND i.excluded = 0
    AND (?5 IS NULL OR r.recorded_at_ms >= ?5)
    AND (?6 IS NULL OR EXISTS (
        SELECT 1 FROM faces f WHERE f.result_id = r.id AND f.quality BETWEEN ?6 AND ?7
    ))
ORDER BY r.id
LIMIT ?4
