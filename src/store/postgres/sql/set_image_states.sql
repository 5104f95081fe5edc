UPDATE images i
SET excluded = k.excluded, verdict_subject = k.subject, gone = k.gone
FROM unnest($1::bigint[], $2::boolean[], $3::text[], $4::boolean[])
    k (id, excluded, subject, gone)
WHERE i.id = k.id
