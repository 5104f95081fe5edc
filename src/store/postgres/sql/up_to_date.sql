-- An image whose bytes never came (no permission, a missing mount) is tried again, whatever its
-- stamp. A null stamp equals no other, not even null.
SELECT k.ordinal - 1 AS index
FROM galleries g
JOIN gallery_profiles gp ON gp.gallery_id = g.id AND gp.profile_id = $2
CROSS JOIN unnest($3::uuid[], $4::text[], $7::bytea[])
    WITH ORDINALITY k (uri_key, stamp, expected_hash, ordinal)
JOIN images i ON i.gallery_id = g.id AND i.uri_key = k.uri_key
JOIN results r ON r.image_id = i.id AND r.gallery_profile_id = gp.id
WHERE g.name = $1
    AND i.content_hash <> ''::bytea
    AND (k.expected_hash IS NULL OR i.content_hash = k.expected_hash)
    AND NOT r.superseded
    AND r.selection = $5
    AND r.stamp = k.stamp
    AND r.outcome = ANY ($6::text[])
