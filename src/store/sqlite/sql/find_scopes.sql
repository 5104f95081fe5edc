SELECT g.id AS gallery_id, gp.id AS gallery_profile_id
FROM json_each(?1) k
CROSS JOIN galleries g ON g.name = k.value ->> 0
CROSS JOIN gallery_profiles gp ON gp.gallery_id = g.id AND gp.profile_id = k.value ->> 1
ORDER BY k.key
