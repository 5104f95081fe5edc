-- The images of which any profile of the gallery has a current, final result, whatever their bytes,
-- and those of which the active profile has.
WITH active AS (
    SELECT count(*) AS images
    FROM json_each(?2) k
    CROSS JOIN results r ON r.gallery_profile_id = ?1 AND r.outcome = k.value AND r.superseded = 0
    CROSS JOIN images i ON i.id = r.image_id AND i.content_hash <> x''
),
others AS (
    SELECT count(DISTINCT i.uri) AS images
    FROM gallery_profiles a
    CROSS JOIN gallery_profiles gp ON gp.gallery_id = a.gallery_id AND gp.id <> a.id
    CROSS JOIN json_each(?2) k
    CROSS JOIN results r
        ON r.gallery_profile_id = gp.id AND r.outcome = k.value AND r.superseded = 0
    CROSS JOIN images i ON i.id = r.image_id AND i.content_hash <> x''
    WHERE a.id = ?1 AND NOT EXISTS (
        SELECT 1
        FROM images v
        CROSS JOIN results o
            ON o.image_id = v.id AND o.gallery_profile_id = ?1 AND o.superseded = 0
            AND o.outcome IN (SELECT value FROM json_each(?2))
        WHERE v.gallery_id = i.gallery_id AND v.uri = i.uri AND v.content_hash <> x''
    )
)
SELECT active.images + others.images AS images, active.images AS covered
FROM active, others
