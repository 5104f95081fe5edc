INSERT OR IGNORE INTO found_images (campaign_id, image_id)
SELECT ?1, i.id
FROM tracked_listings t
CROSS JOIN galleries g ON g.id = t.gallery_id
CROSS JOIN json_each(?3) k
CROSS JOIN images i ON i.gallery_id = g.id AND i.uri = k.value
WHERE t.campaign_id = ?1 AND t.failed = 0 AND g.name = ?2 AND i.id <= t.last_image_id
