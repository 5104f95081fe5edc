-- Changes no row that has the latest record already.
UPDATE gallery_profiles SET touched = (
    SELECT max(o.touched) + 1
    FROM gallery_profiles o
    WHERE o.gallery_id = gallery_profiles.gallery_id
)
WHERE id IN (SELECT value FROM json_each(?1))
    AND EXISTS (
        SELECT 1
        FROM gallery_profiles o
        WHERE o.gallery_id = gallery_profiles.gallery_id
            AND o.id <> gallery_profiles.id
            AND o.touched >= gallery_profiles.touched
    )
