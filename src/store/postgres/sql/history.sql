SELECT r.id AS result_id, g.name AS gallery, gp.profile_id, r.superseded, r.noted, i.excluded
FROM galleries g
JOIN images i ON i.gallery_id = g.id AND i.uri_key = ANY ($1::uuid[])
JOIN results r ON r.image_id = i.id
JOIN gallery_profiles gp ON gp.id = r.gallery_profile_id
WHERE $2::text IS NULL OR g.name = $2
ORDER BY
    g.name COLLATE "C", gp.touched DESC, gp.id DESC, r.superseded, r.recorded_at DESC, r.id DESC
LIMIT $3
