-- The listed version is that of the place.
WITH pairs AS (
    SELECT k.one, k.other FROM unnest($1::bigint[], $2::bigint[]) k (one, other)
    UNION ALL
    SELECT k.other, k.one FROM unnest($1::bigint[], $2::bigint[]) k (one, other)
)
UPDATE results r SET stamp = o.stamp
FROM pairs p JOIN results o ON o.image_id = p.other
WHERE r.image_id = p.one AND r.gallery_profile_id = o.gallery_profile_id
