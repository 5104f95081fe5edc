SELECT DISTINCT o.content_hash
FROM temp.erased_images x
JOIN images o ON o.id = x.id
WHERE o.content_hash <> x''
    AND NOT EXISTS (
        SELECT 1 FROM images i
        WHERE i.content_hash = o.content_hash AND i.content_hash <> x''
            AND +i.gallery_id = ?1
            AND i.id NOT IN (SELECT y.id FROM temp.erased_images y)
    )
