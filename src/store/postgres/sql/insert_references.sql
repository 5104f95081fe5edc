INSERT INTO subject_references (subject_id, image_id, set_aside)
SELECT k.subject_id, k.image_id, k.set_aside
FROM unnest($1::bigint[], $2::bigint[], $3::text[]) k (subject_id, image_id, set_aside)
ON CONFLICT (subject_id, image_id) DO UPDATE SET
    set_aside = excluded.set_aside,
    since = excluded.since
