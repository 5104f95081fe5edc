-- Of the bytes that an image had, those with the current result are meant.
UPDATE images SET subject = k.value ->> 1
FROM json_each(?3) k, galleries g, gallery_profiles gp, results r
WHERE g.name = ?1
    AND gp.gallery_id = g.id
    AND gp.profile_id = ?2
    AND images.gallery_id = g.id
    AND images.uri = k.value ->> 0
    AND length(images.content_hash) > 0
    AND images.subject IS NOT k.value ->> 1
    AND r.image_id = images.id
    AND r.gallery_profile_id = gp.id
    AND r.superseded = 0
