UPDATE results r SET stamp = k.stamp
FROM unnest($1::bigint[], $2::text[]) k (id, stamp)
WHERE r.id = k.id
