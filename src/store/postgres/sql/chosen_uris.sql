SELECT DISTINCT s.uri
FROM erased_images x
JOIN images i ON i.id = x.id
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
WHERE NOT EXISTS (
    SELECT 1 FROM images o
    WHERE o.gallery_id = $1 AND o.uri_key = i.uri_key
        AND o.id NOT IN (SELECT y.id FROM erased_images y)
)
