INSERT INTO found_images (campaign_id, image_id)
SELECT $1, i.id
FROM tracked_listings t
JOIN galleries g ON g.id = t.gallery_id
CROSS JOIN unnest($3::uuid[]) k (uri_key)
JOIN images i ON i.gallery_id = g.id AND i.uri_key = k.uri_key
WHERE t.campaign_id = $1 AND NOT t.failed AND g.name = $2 AND i.id <= t.last_image_id
ON CONFLICT DO NOTHING
