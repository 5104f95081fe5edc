-- The verdicts about some images that no undo took back, in their order; null: about all images.
SELECT v.id, v.image_id, v.verdict, v.subject, v.other_image_id, v.undoes
FROM galleries g
CROSS JOIN curations c ON c.gallery_id = g.id
CROSS JOIN verdicts v ON v.curation_id = c.id AND v.undoes IS NULL
WHERE g.name = ?1
    AND (?2 IS NULL OR v.image_id IN (SELECT value FROM json_each(?2)))
    AND NOT EXISTS (SELECT 1 FROM verdicts u WHERE u.undoes = v.id)
ORDER BY v.id
