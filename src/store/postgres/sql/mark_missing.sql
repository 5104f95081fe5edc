INSERT INTO missing_images (image_id, campaign_id, new_after)
SELECT i.id, $1, coalesce(t.new_after, t.last_image_id)
FROM tracked_listings t
JOIN images i ON i.id = ANY ($2::bigint[])
WHERE t.campaign_id = $1
ON CONFLICT DO NOTHING
