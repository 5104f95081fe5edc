INSERT INTO gallery_profiles (gallery_id, profile_id)
SELECT g.id, k.profile_id
FROM unnest($1::text[], $2::text[]) k (name, profile_id)
JOIN galleries g ON g.name = k.name
ORDER BY g.id, k.profile_id
ON CONFLICT DO NOTHING
