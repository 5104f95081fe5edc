-- In the order of code points, whatever the language of the database is.
SELECT g.name, gp.profile_id
FROM galleries g
JOIN gallery_profiles gp ON gp.gallery_id = g.id
LEFT JOIN facefleet_active_profiles a ON a.gallery_profile_id = gp.id
ORDER BY g.name COLLATE "C", a.gallery_profile_id IS NULL, gp.touched DESC, gp.id DESC
