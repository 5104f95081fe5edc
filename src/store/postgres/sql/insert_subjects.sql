INSERT INTO subjects (gallery_id, name)
SELECT k.gallery_id, k.name
FROM unnest($1::bigint[], $2::text[]) k (gallery_id, name)
ORDER BY k.gallery_id, k.name COLLATE "C"
ON CONFLICT DO NOTHING
