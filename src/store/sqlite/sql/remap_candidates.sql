-- CROSS JOIN fixes the order: from the few keys to the big tables.
SELECT
    s.id AS source_id, s.noted, length(i.content_hash) > 0 AS has_bytes,
    o.id AS own_id, o.superseded AS own_superseded,
    o.recorded_at_ms >= s.recorded_at_ms AS own_later,
    c.id AS current_id, length(ci.content_hash) > 0 AS current_bytes,
    -- Of two in one millisecond, the later one has the greater id.
    (c.recorded_at_ms, c.id) > (s.recorded_at_ms, s.id) AS current_later
FROM json_each(?1) k
CROSS JOIN results s ON s.id = k.value AND (s.superseded = 0 OR s.noted = 1)
CROSS JOIN images i ON i.id = s.image_id
LEFT JOIN results o ON o.image_id = s.image_id AND o.gallery_profile_id = ?2
LEFT JOIN results c ON c.id = (
    SELECT r.id
    FROM images x
    CROSS JOIN results r ON r.image_id = x.id AND r.gallery_profile_id = ?2
    WHERE x.gallery_id = i.gallery_id AND x.uri = i.uri AND x.id <> i.id AND r.superseded = 0
    LIMIT 1
)
LEFT JOIN images ci ON ci.id = c.image_id
ORDER BY k.key
