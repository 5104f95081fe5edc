-- CROSS JOIN fixes the order: from the few URIs to the big tables.
SELECT r.id AS result_id, g.name AS gallery, gp.profile_id, r.superseded, r.noted, i.excluded
FROM galleries g
CROSS JOIN images i
    ON i.gallery_id = g.id AND i.uri IN (SELECT value FROM json_each(?1))
CROSS JOIN results r ON r.image_id = i.id
CROSS JOIN gallery_profiles gp ON gp.id = r.gallery_profile_id
WHERE ?2 IS NULL OR g.name = ?2
ORDER BY g.name, gp.touched DESC, gp.id DESC, r.superseded, r.recorded_at_ms DESC, r.id DESC
LIMIT ?3
