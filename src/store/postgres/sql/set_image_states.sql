UPDATE images i
SET excluded = k.excluded,
    verdict_subject = CASE WHEN k.subject_changes THEN k.subject ELSE i.verdict_subject END
FROM unnest($1::bigint[], $2::boolean[], $3::boolean[], $4::text[])
    k (id, excluded, subject_changes, subject)
WHERE i.id = k.id
