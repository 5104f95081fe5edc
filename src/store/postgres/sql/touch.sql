-- Locks and changes no row that has the latest record already: otherwise the workers that fill a
-- gallery would wait for each other.
WITH late AS (
    SELECT gp.id
    FROM gallery_profiles gp
    WHERE gp.id = ANY ($1::bigint[])
        AND EXISTS (
            SELECT
            FROM gallery_profiles o
            WHERE o.gallery_id = gp.gallery_id AND o.id <> gp.id AND o.touched >= gp.touched
        )
    ORDER BY gp.id
    FOR NO KEY UPDATE
)
UPDATE gallery_profiles gp SET touched = (
    SELECT max(o.touched) + 1
    FROM gallery_profiles o
    WHERE o.gallery_id = gp.gallery_id
)
FROM late
WHERE late.id = gp.id
