SELECT k.ordinal - 1 AS place, s.id
FROM unnest($1::bigint[], $2::text[]) WITH ORDINALITY k (gallery_id, name, ordinal)
JOIN subjects s ON s.gallery_id = k.gallery_id AND s.name = k.name
ORDER BY s.gallery_id, s.name
FOR UPDATE OF s
