-- The images of these URIs that were missing or gone.
SELECT i.id
FROM galleries g
CROSS JOIN json_each(?2) k
CROSS JOIN images i ON i.gallery_id = g.id AND i.uri = k.value
LEFT JOIN missing_images m ON m.image_id = i.id
WHERE g.name = ?1 AND (m.image_id IS NOT NULL OR i.gone = 1)
