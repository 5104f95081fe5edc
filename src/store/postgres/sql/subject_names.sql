-- The names of the subjects of a gallery, and those that verdicts name.
SELECT name FROM subjects WHERE gallery_id = $1
UNION
SELECT v.subject FROM images i
JOIN verdicts v ON v.image_id = i.id
WHERE i.gallery_id = $1 AND v.subject IS NOT NULL
UNION
SELECT i.verdict_subject FROM images i
WHERE i.gallery_id = $1 AND i.verdict_subject IS NOT NULL
