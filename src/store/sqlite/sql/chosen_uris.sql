SELECT DISTINCT i.uri
FROM temp.erased_images x
JOIN images i ON i.id = x.id
WHERE NOT EXISTS (
    SELECT 1 FROM images o
    WHERE o.gallery_id = ?1 AND o.uri = i.uri
        AND o.id NOT IN (SELECT y.id FROM temp.erased_images y)
)
