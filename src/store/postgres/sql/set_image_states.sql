UPDATE images i
SET excluded = k.excluded, verdict_subject = k.subject
FROM unnest($1::bigint[], $2::boolean[], $3::text[]) k (id, excluded, subject)
WHERE i.id = k.id
