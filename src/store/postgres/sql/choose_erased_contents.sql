-- The same contents as what is chosen, wherever they are.
INSERT INTO erased_images (id)
SELECT i.id
FROM images i
WHERE i.gallery_id = $1
    AND i.content_hash <> ''
    AND i.content_hash IN (
        SELECT o.content_hash FROM erased_images x JOIN images o ON o.id = x.id
    )
    AND i.id NOT IN (SELECT x.id FROM erased_images x)
