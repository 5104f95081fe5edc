SELECT
    s.id AS source_id, s.noted, i.content_hash <> ''::bytea AS has_bytes,
    o.id AS own_id, o.superseded AS own_superseded, o.recorded_at >= s.recorded_at AS own_later,
    c.id AS current_id, c.content_hash <> ''::bytea AS current_bytes,
    (c.recorded_at, c.id) > (s.recorded_at, s.id) AS current_later
FROM unnest($1::bigint[]) WITH ORDINALITY k (id, ordinal)
JOIN results s ON s.id = k.id AND (NOT s.superseded OR s.noted)
JOIN images i ON i.id = s.image_id
LEFT JOIN results o ON o.image_id = s.image_id AND o.gallery_profile_id = $2
LEFT JOIN LATERAL (
    SELECT r.id, r.recorded_at, x.content_hash
    FROM images x
    JOIN results r ON r.image_id = x.id AND r.gallery_profile_id = $2
    WHERE x.gallery_id = i.gallery_id AND x.uri_key = i.uri_key
        AND x.id <> i.id AND NOT r.superseded
    LIMIT 1
) c ON true
ORDER BY k.ordinal
