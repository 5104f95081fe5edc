-- Reads the results of an outcome in order, and ends with the page: the pages together read each
-- result once. A condition whose value is null is none.
SELECT r.id
FROM results r
WHERE r.gallery_profile_id = ?1 AND r.superseded = 0 AND r.outcome = ?2 AND r.id > ?3
    AND r.id NOT IN (SELECT id FROM excluded_results WHERE gallery_profile_id = ?1)
    AND (?5 IS NULL OR r.recorded_at_ms >= ?5)
    AND (?6 IS NULL OR EXISTS (
        SELECT 1 FROM faces f WHERE f.result_id = r.id AND f.quality BETWEEN ?6 AND ?7
    ))
ORDER BY r.id
LIMIT ?4
