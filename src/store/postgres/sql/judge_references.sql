-- References of images with new verdicts: those that a verdict excludes, or gives to another
-- subject, do not count, and the others do as before.
UPDATE subject_references r
SET set_aside = CASE WHEN r.set_aside IS NULL THEN 'verdict' END, since = now()
FROM images i, subjects s
WHERE r.image_id = ANY ($1::bigint[])
    AND i.id = r.image_id AND s.id = r.subject_id
    AND (r.set_aside IS NULL OR r.set_aside = 'verdict')
    AND (r.set_aside IS NULL) = coalesce(i.excluded OR i.verdict_subject <> s.name, false)
RETURNING r.subject_id, r.image_id, r.set_aside IS NULL AS is_active
