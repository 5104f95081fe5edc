INSERT INTO subject_references (subject_id, image_id, set_aside, since_ms)
{rows}
ON CONFLICT (subject_id, image_id) DO UPDATE SET
    set_aside = excluded.set_aside,
    since_ms = excluded.since_ms
