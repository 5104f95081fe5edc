-- Verdicts that gave images of a gallery to a subject follow its name.
UPDATE verdicts SET subject = ?3
WHERE subject = ?2 AND image_id IN (
    SELECT i.id FROM images i
    WHERE i.gallery_id = (SELECT gallery_id FROM subjects WHERE id = ?1)
)
