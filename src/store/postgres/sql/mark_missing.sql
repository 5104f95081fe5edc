INSERT INTO missing_images (image_id, campaign_id)
SELECT i.id, $1
FROM images i
WHERE i.id = ANY ($2::bigint[])
ON CONFLICT DO NOTHING
