-- ?2: arrays of the URI of a root, the beginning of those below it, and the end of these.
SELECT i.id, i.uri
FROM tracked_listings t
CROSS JOIN images i ON i.id > ?3 AND i.id <= t.last_image_id
WHERE t.campaign_id = ?1
    AND i.gallery_id = t.gallery_id
    AND NOT EXISTS (
        SELECT 1 FROM found_images f WHERE f.campaign_id = t.campaign_id AND f.image_id = i.id
    )
    AND NOT EXISTS (SELECT 1 FROM missing_images m WHERE m.image_id = i.id)
    AND EXISTS (
        SELECT 1 FROM json_each(?2) k
        WHERE i.uri = k.value ->> 0 OR (i.uri >= k.value ->> 1 AND i.uri < k.value ->> 2)
    )
    AND EXISTS (
        SELECT 1 FROM results r WHERE r.image_id = i.id AND r.superseded = 0 AND r.noted = 0
    )
ORDER BY i.id
LIMIT ?4
