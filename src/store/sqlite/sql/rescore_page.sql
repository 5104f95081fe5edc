-- Reads the results in the order of their ids, so that the pages together read each once. Where the
-- target has nothing yet, its scope is null and joins nothing.
SELECT
    r.id AS result_id, i.uri, i.content_hash, r.stamp, r.superseded, i.gone,
    t.id IS NOT NULL AS done
FROM results r
CROSS JOIN images i ON i.id = r.image_id
LEFT JOIN results t
    ON t.image_id = r.image_id AND t.gallery_profile_id = ?2
    AND t.selection = ?3
    AND t.outcome IN (SELECT value FROM json_each(?4))
    AND (t.superseded = 0 OR r.superseded = 1)
WHERE r.id > ?5
    AND +r.gallery_profile_id = ?1
    AND length(i.content_hash) > 0
    AND (+r.superseded = 0 OR EXISTS (
        SELECT 1 FROM subject_references sr WHERE sr.image_id = r.image_id AND sr.set_aside IS NULL
    ))
ORDER BY r.id
LIMIT ?6
