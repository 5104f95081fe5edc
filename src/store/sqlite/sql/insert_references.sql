-- A reference that a verdict excludes, or gives to another subject, does not count.
INSERT INTO subject_references (subject_id, image_id, set_aside, since_ms)
SELECT
    column1, column2,
    iif(column3 IS NULL AND (
        SELECT i.excluded = 1 OR i.verdict_subject <> s.name
        FROM images i
        CROSS JOIN subjects s ON s.id = column1
        WHERE i.id = column2
    ), 'verdict', column3),
    column4
FROM (
{rows}
)
WHERE true
ON CONFLICT (subject_id, image_id) DO UPDATE SET
    set_aside = excluded.set_aside,
    since_ms = excluded.since_ms
