-- One look at all images, which have no index by content.
SELECT DISTINCT i.content_hash
FROM images i
JOIN galleries g ON g.id = i.gallery_id
WHERE g.name <> ?1
    AND i.content_hash IN (SELECT unhex(value) FROM json_each(?2))
