-- A reference that a verdict excludes, or gives to another subject, does not count.
INSERT INTO subject_references (subject_id, image_id, set_aside)
SELECT
    k.subject_id, k.image_id,
    CASE
        WHEN k.set_aside IS NULL AND (i.excluded OR i.verdict_subject <> s.name) THEN 'verdict'
        ELSE k.set_aside
    END
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) k (subject_id, image_id, set_aside)
JOIN images i ON i.id = k.image_id
JOIN subjects s ON s.id = k.subject_id
ON CONFLICT (subject_id, image_id) DO UPDATE SET
    set_aside = excluded.set_aside,
    since = excluded.since
