-- Images that deleted verdicts gave to a subject have that of the last verdict that is left.
UPDATE images SET verdict_subject = (
    SELECT v.subject FROM verdicts v
    WHERE v.image_id = images.id AND v.verdict = 'reassign'
        AND NOT EXISTS (SELECT 1 FROM verdicts u WHERE u.undoes = v.id)
    ORDER BY v.id DESC
    LIMIT 1
)
WHERE verdict_subject = ?2
    AND gallery_id = (SELECT gallery_id FROM subjects WHERE id = ?1)
RETURNING id
