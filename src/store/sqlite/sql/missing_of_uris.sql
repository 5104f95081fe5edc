-- The images of these URIs that were missing.
SELECT i.id
FROM galleries g
CROSS JOIN json_each(?2) k
CROSS JOIN images i ON i.gallery_id = g.id AND i.uri = k.value
CROSS JOIN missing_images m ON m.image_id = i.id
WHERE g.name = ?1
