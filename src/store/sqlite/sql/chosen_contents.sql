-- One look at the gallery's images, which have no index by content.
SELECT i.content_hash
FROM images i
WHERE i.gallery_id = ?1
    AND length(i.content_hash) > 0
    AND i.content_hash IN (
        SELECT o.content_hash FROM temp.erased_images x JOIN images o ON o.id = x.id
    )
GROUP BY i.content_hash
HAVING min(i.id IN (SELECT y.id FROM temp.erased_images y))
