-- Of the bytes that an image had, those with the current result are meant.
UPDATE images i SET subject = k.subject
FROM galleries g
JOIN gallery_profiles gp ON gp.gallery_id = g.id AND gp.profile_id = $2
CROSS JOIN unnest($3::uuid[], $4::text[]) k (uri_key, subject)
WHERE g.name = $1
    AND i.gallery_id = g.id
    AND i.uri_key = k.uri_key
    AND i.content_hash <> ''::bytea
    AND i.subject IS DISTINCT FROM k.subject
    AND EXISTS (
        SELECT FROM results r
        WHERE r.image_id = i.id AND r.gallery_profile_id = gp.id AND NOT r.superseded
    )
