-- Those of these subjects and images that a verdict excludes, or gives to another subject.
SELECT s.id, i.id
FROM unnest($1::bigint[], $2::bigint[]) k (subject_id, image_id)
JOIN images i ON i.id = k.image_id
JOIN subjects s ON s.id = k.subject_id
WHERE i.excluded OR i.verdict_subject <> s.name
