-- An image whose bytes never came (no permission, a missing mount) is tried again, whatever its
-- stamp. A null stamp equals no other, not even null. The answer is one row, because each row costs
-- a switch between threads and a scan that resumes asks for thousands.
SELECT json_group_array(k.key) AS indexes
FROM galleries g
CROSS JOIN gallery_profiles gp ON gp.gallery_id = g.id AND gp.profile_id = ?2
CROSS JOIN json_each(?3) k
CROSS JOIN images i ON i.gallery_id = g.id AND i.uri = k.value ->> 0
CROSS JOIN results r ON r.image_id = i.id AND r.gallery_profile_id = gp.id
WHERE g.name = ?1
    AND length(i.content_hash) > 0
    AND (k.value ->> 2 IS NULL OR lower(hex(i.content_hash)) = k.value ->> 2)
    AND r.superseded = 0
    AND r.selection = ?4
    AND r.stamp = k.value ->> 1
    AND r.outcome IN (SELECT value FROM json_each(?5))
