INSERT OR IGNORE INTO missing_images (image_id, campaign_id, since_ms)
SELECT i.id, ?1, ?3
FROM json_each(?2) k
CROSS JOIN images i ON i.id = k.value
