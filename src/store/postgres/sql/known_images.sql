-- The images of which any profile of the gallery has a current, final result, whatever their bytes,
-- and those of which the active profile has.
WITH active AS (
    SELECT count(*) AS images
    FROM results r
    JOIN images i ON i.id = r.image_id AND i.content_hash <> ''
    WHERE r.gallery_profile_id = $1 AND NOT r.superseded AND r.outcome = ANY ($2::text[])
),
others AS (
    SELECT count(DISTINCT i.uri_key) AS images
    FROM gallery_profiles a
    JOIN gallery_profiles gp ON gp.gallery_id = a.gallery_id AND gp.id <> a.id
    JOIN results r
        ON r.gallery_profile_id = gp.id AND NOT r.superseded AND r.outcome = ANY ($2::text[])
    JOIN images i ON i.id = r.image_id AND i.content_hash <> ''
    WHERE a.id = $1 AND NOT EXISTS (
        SELECT
        FROM images v
        JOIN results o
            ON o.image_id = v.id AND o.gallery_profile_id = $1 AND NOT o.superseded
            AND o.outcome = ANY ($2::text[])
        WHERE v.gallery_id = i.gallery_id AND v.uri_key = i.uri_key AND v.content_hash <> ''
    )
)
SELECT active.images + others.images AS images, active.images AS covered
FROM active, others
