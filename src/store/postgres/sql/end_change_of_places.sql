UPDATE images i SET content_hash = k.hash
FROM unnest($1::bigint[], $2::bigint[], $3::bytea[]) k (one, other, hash)
WHERE i.id IN (k.one, k.other)
