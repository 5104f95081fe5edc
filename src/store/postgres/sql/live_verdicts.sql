-- The verdicts about some images that no undo took back, in their order; null: about all images.
SELECT v.id, v.image_id, v.verdict, v.subject, v.other_image_id, v.undoes
FROM galleries g
JOIN curations c ON c.gallery_id = g.id
JOIN verdicts v ON v.curation_id = c.id AND v.undoes IS NULL
WHERE g.name = $1
    AND ($2::bigint[] IS NULL OR v.image_id = ANY ($2))
    AND NOT EXISTS (SELECT 1 FROM verdicts u WHERE u.undoes = v.id)
ORDER BY v.id
