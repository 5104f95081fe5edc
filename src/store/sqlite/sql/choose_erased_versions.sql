-- The other versions at the URIs of what is chosen.
INSERT INTO temp.erased_images (id)
SELECT i.id
FROM images i
WHERE i.gallery_id = ?1
    AND i.uri IN (SELECT o.uri FROM temp.erased_images x JOIN images o ON o.id = x.id)
    AND i.id NOT IN (SELECT x.id FROM temp.erased_images x)
RETURNING id
