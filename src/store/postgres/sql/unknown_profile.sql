SELECT k.id
FROM unnest($1::text[]) k (id)
WHERE NOT EXISTS (SELECT FROM profiles p WHERE p.id = k.id)
LIMIT 1
