-- A source stays if other versions of it do.
WITH erased AS (
    DELETE FROM images i USING erased_images x WHERE i.id = x.id
    RETURNING i.gallery_id, i.uri_key
), sourceless AS (
    DELETE FROM sources s
    USING (SELECT DISTINCT e.gallery_id, e.uri_key FROM erased e) e
    WHERE s.gallery_id = e.gallery_id AND s.uri_key = e.uri_key
        AND NOT EXISTS (
            SELECT FROM images o
            WHERE o.gallery_id = s.gallery_id AND o.uri_key = s.uri_key
                AND o.id NOT IN (SELECT y.id FROM erased_images y)
        )
)
SELECT FROM erased
