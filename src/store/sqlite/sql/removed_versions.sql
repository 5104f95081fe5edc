SELECT DISTINCT i.uri, i.content_hash, r.stamp
FROM temp.erased_images x
JOIN images i ON i.id = x.id
LEFT JOIN results r ON r.image_id = i.id
WHERE length(i.content_hash) > 0
    -- Who moved from here may come back.
    AND NOT EXISTS (
        SELECT 1 FROM verdicts v
        WHERE v.image_id = i.id AND v.verdict = 'moved'
            AND NOT EXISTS (SELECT 1 FROM verdicts u WHERE u.undoes = v.id))
