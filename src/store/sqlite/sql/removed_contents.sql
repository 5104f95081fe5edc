-- One look at all images, which have no index by content.
WITH used AS MATERIALIZED (
    SELECT DISTINCT i.content_hash
    FROM images i
    CROSS JOIN removed_contents c ON c.content_hash = i.content_hash
)
SELECT c.content_hash, u.content_hash IS NOT NULL AS in_use
FROM removed_contents c
LEFT JOIN used u ON u.content_hash = c.content_hash
