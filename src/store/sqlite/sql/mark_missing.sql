INSERT OR IGNORE INTO missing_images (image_id, campaign_id, since_ms, new_after)
SELECT i.id, ?1, ?3, coalesce(t.new_after, t.last_image_id)
FROM tracked_listings t
CROSS JOIN json_each(?2) k
CROSS JOIN images i ON i.id = k.value
WHERE t.campaign_id = ?1
