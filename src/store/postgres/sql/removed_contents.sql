SELECT
    c.content_hash,
    EXISTS (
        SELECT FROM images i
        WHERE i.content_hash = c.content_hash AND i.content_hash <> ''
    ) AS in_use
FROM removed_contents c
