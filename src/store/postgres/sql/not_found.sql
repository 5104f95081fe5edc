SELECT i.id, s.uri
FROM tracked_listings t
JOIN images i ON i.gallery_id = t.gallery_id AND i.id > $4 AND i.id <= t.last_image_id
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
WHERE t.campaign_id = $1
    AND NOT EXISTS (
        SELECT FROM found_images f WHERE f.campaign_id = t.campaign_id AND f.image_id = i.id
    )
    AND NOT EXISTS (SELECT FROM missing_images m WHERE m.image_id = i.id)
    AND EXISTS (
        SELECT FROM unnest($2::text[], $3::text[]) k (itself, below)
        WHERE s.uri = k.itself OR starts_with(s.uri, k.below)
    )
    AND EXISTS (
        SELECT FROM results r WHERE r.image_id = i.id AND NOT r.superseded AND NOT r.noted
    )
ORDER BY i.id
LIMIT $5
