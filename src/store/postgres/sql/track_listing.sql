-- A gallery without images has none that could be missing.
INSERT INTO tracked_listings (campaign_id, gallery_id, last_image_id)
SELECT $1, g.id, (SELECT max(i.id) FROM images i)
FROM galleries g
WHERE g.name = $2 AND EXISTS (SELECT FROM images i WHERE i.gallery_id = g.id)
ON CONFLICT DO NOTHING
