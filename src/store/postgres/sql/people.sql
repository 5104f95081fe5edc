-- The names of the people of a gallery: who was enrolled, and whom jobs and verdicts name.
SELECT name FROM subjects WHERE gallery_id = (SELECT id FROM galleries WHERE name = $1)
UNION
SELECT i.subject FROM images i
WHERE i.gallery_id = (SELECT id FROM galleries WHERE name = $1) AND i.subject IS NOT NULL
UNION
SELECT i.verdict_subject FROM images i
WHERE i.gallery_id = (SELECT id FROM galleries WHERE name = $1) AND i.verdict_subject IS NOT NULL
