-- The images of these URIs that were missing.
SELECT i.id
FROM galleries g
CROSS JOIN unnest($2::uuid[]) k (uri_key)
JOIN images i ON i.gallery_id = g.id AND i.uri_key = k.uri_key
JOIN missing_images m ON m.image_id = i.id
WHERE g.name = $1
