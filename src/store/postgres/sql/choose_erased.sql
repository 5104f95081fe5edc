-- The images at a URI, or all that were ever tied to a subject.
INSERT INTO erased_images (id)
SELECT i.id FROM images i WHERE i.gallery_id = $1 AND i.uri_key = $2
UNION
SELECT i.id FROM images i WHERE i.gallery_id = $1 AND i.subject = $3
UNION
SELECT i.id FROM images i WHERE i.gallery_id = $1 AND i.verdict_subject = $3
UNION
SELECT e.image_id FROM subjects s JOIN enrolments e ON e.subject_id = s.id
WHERE s.gallery_id = $1 AND s.name = $3
UNION
SELECT j.image_id FROM subjects s JOIN enrolment_jobs j ON j.subject_id = s.id
WHERE s.gallery_id = $1 AND s.name = $3
UNION
SELECT r.image_id FROM subjects s JOIN subject_references r ON r.subject_id = s.id
WHERE s.gallery_id = $1 AND s.name = $3
