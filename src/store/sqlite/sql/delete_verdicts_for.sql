-- The verdicts that gave images of a gallery to a subject; the undos of these go with them.
DELETE FROM verdicts
WHERE subject = ?2 AND image_id IN (
    SELECT i.id FROM images i
    WHERE i.gallery_id = (SELECT gallery_id FROM subjects WHERE id = ?1)
)
