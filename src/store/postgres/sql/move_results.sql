-- What was found only under a profile that the moved image has no results of is the moved image's.
UPDATE results r SET image_id = k.one
FROM unnest($1::bigint[], $2::bigint[]) k (one, other)
WHERE r.image_id = k.other
    AND NOT EXISTS (
        SELECT FROM results o
        WHERE o.image_id = k.one AND o.gallery_profile_id = r.gallery_profile_id
    )
