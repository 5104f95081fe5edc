SELECT DISTINCT i.content_hash
FROM images i
JOIN galleries g ON g.id = i.gallery_id
WHERE g.name <> $1
    AND i.content_hash = ANY ($2::bytea[]) AND i.content_hash <> ''
