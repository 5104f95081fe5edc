-- The verdicts that gave images of a gallery to a subject; the undos of these go with them.
DELETE FROM verdicts v USING images i
WHERE v.subject = $2 AND i.id = v.image_id
    AND i.gallery_id = (SELECT gallery_id FROM subjects WHERE id = $1)
