-- The images of these URIs that were missing or gone.
SELECT i.id
FROM galleries g
CROSS JOIN unnest($2::uuid[]) k (uri_key)
JOIN images i ON i.gallery_id = g.id AND i.uri_key = k.uri_key
LEFT JOIN missing_images m ON m.image_id = i.id
WHERE g.name = $1 AND (m.image_id IS NOT NULL OR i.gone)
