-- The same contents as what is chosen, wherever they are.
INSERT INTO temp.erased_images (id)
SELECT i.id
FROM images i
WHERE +i.gallery_id = ?1
    AND i.content_hash <> x''
    AND i.content_hash IN (
        SELECT o.content_hash FROM temp.erased_images x JOIN images o ON o.id = x.id
    )
    AND i.id NOT IN (SELECT x.id FROM temp.erased_images x)
