UPDATE images i SET subject = k.subject
FROM unnest($1::bigint[], $2::text[]) k (id, subject)
WHERE i.id = k.id AND i.subject IS DISTINCT FROM k.subject
