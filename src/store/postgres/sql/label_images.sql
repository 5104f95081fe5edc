-- The images that were enrolled for a subject have its name, where no later job named another.
UPDATE images SET subject = $3
WHERE subject = $2 AND id IN (SELECT image_id FROM enrolments WHERE subject_id = $1)
