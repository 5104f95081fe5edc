-- A reference that a verdict excludes, or gives to another subject, does not count.
UPDATE subject_references r
SET set_aside = CASE
        WHEN $3::text IS NULL AND (i.excluded OR i.verdict_subject <> s.name) THEN 'verdict'
        ELSE $3
    END,
    since = now()
FROM images i, subjects s
WHERE r.subject_id = $1 AND r.image_id = $2 AND i.id = $2 AND s.id = $1
