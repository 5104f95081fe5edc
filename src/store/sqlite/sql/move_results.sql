-- What was found only under a profile that the moved image has no results of is the moved image's.
UPDATE results SET image_id = k.value ->> 0
FROM json_each(?1) k
WHERE results.image_id = k.value ->> 1
    AND NOT EXISTS (
        SELECT 1 FROM results o
        WHERE o.image_id = k.value ->> 0 AND o.gallery_profile_id = results.gallery_profile_id
    )
