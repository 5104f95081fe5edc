SELECT DISTINCT o.content_hash
FROM erased_images x
JOIN images o ON o.id = x.id
WHERE o.content_hash <> ''
    AND NOT EXISTS (
        SELECT FROM images i
        WHERE i.content_hash = o.content_hash AND i.content_hash <> ''
            AND i.gallery_id = $1
            AND i.id NOT IN (SELECT y.id FROM erased_images y)
    )
