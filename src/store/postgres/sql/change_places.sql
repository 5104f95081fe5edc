WITH pairs AS (
    SELECT k.one, k.other FROM unnest($1::bigint[], $2::bigint[]) k (one, other)
    UNION ALL
    SELECT k.other, k.one FROM unnest($1::bigint[], $2::bigint[]) k (one, other)
)
UPDATE images i
SET uri_key = o.uri_key, picture_hash = coalesce(i.picture_hash, o.picture_hash)
FROM pairs p JOIN images o ON o.id = p.other
WHERE i.id = p.one
