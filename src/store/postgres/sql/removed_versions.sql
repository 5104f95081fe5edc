SELECT DISTINCT s.uri, i.content_hash, r.stamp
FROM erased_images x
JOIN images i ON i.id = x.id
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
LEFT JOIN results r ON r.image_id = i.id
WHERE octet_length(i.content_hash) > 0
    -- Who moved from here may come back.
    AND NOT EXISTS (
        SELECT 1 FROM verdicts v
        WHERE v.image_id = i.id AND v.verdict = 'moved'
            AND NOT EXISTS (SELECT 1 FROM verdicts u WHERE u.undoes = v.id))
