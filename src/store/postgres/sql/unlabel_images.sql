-- The images that were enrolled for a subject, where no later job named another, lose its name. One
-- that is an active reference of another subject has the other's again.
UPDATE images SET subject = (
    SELECT min(s.name) FROM subject_references r JOIN subjects s ON s.id = r.subject_id
    WHERE r.image_id = images.id AND r.subject_id <> $1 AND r.set_aside IS NULL
)
WHERE subject = $2 AND id IN (SELECT image_id FROM enrolments WHERE subject_id = $1)
