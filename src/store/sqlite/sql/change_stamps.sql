-- The listed version is that of the place.
WITH pairs AS (
    SELECT value ->> 0 AS one, value ->> 1 AS other FROM json_each(?1)
    UNION ALL
    SELECT value ->> 1, value ->> 0 FROM json_each(?1)
)
UPDATE results SET stamp = o.stamp
FROM pairs p CROSS JOIN results o ON o.image_id = p.other
WHERE results.image_id = p.one AND results.gallery_profile_id = o.gallery_profile_id
