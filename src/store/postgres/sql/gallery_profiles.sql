SELECT
    g.name AS gallery, gp.profile_id, a.gallery_profile_id IS NOT NULL AS active,
    (SELECT count(*) FROM results r WHERE r.gallery_profile_id = gp.id AND NOT r.superseded)
        AS images
FROM galleries g
JOIN gallery_profiles gp ON gp.gallery_id = g.id
LEFT JOIN facefleet_active_profiles a ON a.gallery_profile_id = gp.id
ORDER BY g.name COLLATE "C", a.gallery_profile_id IS NULL, gp.touched DESC, gp.id DESC
