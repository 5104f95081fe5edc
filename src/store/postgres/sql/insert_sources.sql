INSERT INTO sources (gallery_id, uri_key, uri)
SELECT k.gallery_id, k.uri_key, k.uri
FROM unnest($1::bigint[], $2::uuid[], $3::text[]) k (gallery_id, uri_key, uri)
ORDER BY k.gallery_id, k.uri_key
ON CONFLICT DO NOTHING
