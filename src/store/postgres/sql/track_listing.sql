-- What is new is new since the first listing after the last complete one. A listing that begins
-- anew may succeed.
INSERT INTO tracked_listings (campaign_id, gallery_id, last_image_id, new_after)
SELECT $1, b.gallery_id, b.last_image_id, least(
    b.last_image_id,
    (SELECT min(o.new_after) FROM tracked_listings o WHERE o.gallery_id = b.gallery_id)
)
FROM (
    SELECT
        coalesce(max(g.id), 0) AS gallery_id,
        -- A gallery without images has none that could be missing.
        CASE
            WHEN EXISTS (
                SELECT FROM images i JOIN galleries o ON o.id = i.gallery_id WHERE o.name = $2
            ) THEN (SELECT max(i.id) FROM images i)
            ELSE 0
        END AS last_image_id
    FROM galleries g
    WHERE g.name = $2
) b
ON CONFLICT (campaign_id) DO UPDATE SET failed = false
RETURNING last_image_id > 0
