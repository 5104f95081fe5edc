-- Images in the order of their ids, each looked up by its keys: a plan that joins the tables as a
-- whole would do so for each page.
SELECT p.id, p.uri
FROM tracked_listings t
CROSS JOIN LATERAL (
    SELECT i.id, s.uri
    FROM images i
    CROSS JOIN LATERAL (
        SELECT s.uri FROM sources s
        WHERE s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
        OFFSET 0
    ) s
    WHERE i.gallery_id = t.gallery_id AND i.id > $4 AND i.id <= t.last_image_id
        AND (
            SELECT f.image_id FROM found_images f
            WHERE f.campaign_id = t.campaign_id AND f.image_id = i.id
        ) IS NULL
        AND (SELECT m.image_id FROM missing_images m WHERE m.image_id = i.id) IS NULL
        AND EXISTS (
            SELECT FROM unnest($2::text[], $3::text[]) k (itself, below)
            WHERE s.uri = k.itself OR starts_with(s.uri, k.below)
        )
        AND (
            SELECT true FROM results r
            WHERE r.image_id = i.id AND NOT r.superseded AND NOT r.noted
            LIMIT 1
        )
    ORDER BY i.id
    LIMIT $5
) p
WHERE t.campaign_id = $1
ORDER BY p.id
