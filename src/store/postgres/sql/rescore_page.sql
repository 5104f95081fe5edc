-- Reads the results in the order of their ids, so that the pages together read each once. Where the
-- target has nothing yet, its scope is null and joins nothing.
SELECT
    r.id AS result_id, s.uri, i.content_hash, r.stamp, r.superseded, i.gone,
    t.id IS NOT NULL AS done
FROM (
    SELECT c.id, c.image_id, c.stamp, c.superseded
    FROM results c
    WHERE c.id > $5
        AND c.gallery_profile_id = $1
        AND (NOT c.superseded OR EXISTS (
            SELECT FROM subject_references sr
            WHERE sr.image_id = c.image_id AND sr.set_aside IS NULL
        ))
        AND (SELECT n.content_hash <> ''::bytea FROM images n WHERE n.id = c.image_id)
    ORDER BY c.id
    LIMIT $6
) r
JOIN images i ON i.id = r.image_id
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
LEFT JOIN results t
    ON t.image_id = r.image_id AND t.gallery_profile_id = $2
    AND t.selection = $3
    AND t.outcome = ANY ($4::text[])
    AND (NOT t.superseded OR r.superseded)
ORDER BY r.id
