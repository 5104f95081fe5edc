-- The images that verdicts gave to a subject follow its name.
UPDATE images SET verdict_subject = $3
WHERE verdict_subject = $2
    AND gallery_id = (SELECT gallery_id FROM subjects WHERE id = $1)
