SELECT
    c.content_hash,
    EXISTS (
        SELECT 1 FROM images i
        WHERE i.content_hash = c.content_hash AND i.content_hash <> x''
    ) AS in_use
FROM removed_contents c
