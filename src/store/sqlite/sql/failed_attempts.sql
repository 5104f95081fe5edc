-- Current results without a use, each of an image that the active profile has and this one lacks.
SELECT p.outcome, count(*) AS images
FROM results p
CROSS JOIN images i ON i.id = p.image_id
WHERE p.gallery_profile_id = ?2 AND p.superseded = 0
    AND p.outcome IN ('unreadable', 'refused', 'failed')
    AND EXISTS (
        SELECT 1
        FROM images v
        CROSS JOIN results r
            ON r.image_id = v.id AND r.gallery_profile_id = ?1 AND r.superseded = 0
            AND r.outcome IN (SELECT value FROM json_each(?3))
        LEFT JOIN results own
            ON own.image_id = v.id AND own.gallery_profile_id = ?2 AND own.superseded = 0
            AND own.outcome IN (SELECT value FROM json_each(?3))
        WHERE v.gallery_id = i.gallery_id AND v.uri = i.uri AND v.content_hash <> x''
            AND own.id IS NULL
    )
GROUP BY p.outcome
