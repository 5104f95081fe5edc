-- Verdicts that gave images of a gallery to a subject follow its name.
UPDATE verdicts v SET subject = $3
FROM images i
WHERE v.subject = $2 AND i.id = v.image_id
    AND i.gallery_id = (SELECT gallery_id FROM subjects WHERE id = $1)
