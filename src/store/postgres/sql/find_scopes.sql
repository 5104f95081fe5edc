SELECT g.id AS gallery_id, gp.id AS gallery_profile_id
FROM unnest($1::text[], $2::text[]) WITH ORDINALITY k (name, profile_id, ordinal)
JOIN galleries g ON g.name = k.name
JOIN gallery_profiles gp ON gp.gallery_id = g.id AND gp.profile_id = k.profile_id
ORDER BY k.ordinal
