-- In the order of code points, whatever the language of the database is.
SELECT g.name, gp.profile_id
FROM galleries g
JOIN gallery_profiles gp ON gp.gallery_id = g.id
ORDER BY g.name COLLATE "C", gp.touched DESC, gp.id DESC
