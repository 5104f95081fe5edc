-- Current results without a use, each of an image that the active profile has and this one lacks.
SELECT p.outcome, count(*) AS images
FROM results p
JOIN images i ON i.id = p.image_id
WHERE p.gallery_profile_id = $2 AND NOT p.superseded
    AND p.outcome IN ('unreadable', 'refused', 'failed')
    AND EXISTS (
        SELECT
        FROM images v
        JOIN results r
            ON r.image_id = v.id AND r.gallery_profile_id = $1 AND NOT r.superseded
            AND r.outcome = ANY ($3::text[])
        LEFT JOIN results own
            ON own.image_id = v.id AND own.gallery_profile_id = $2 AND NOT own.superseded
            AND own.outcome = ANY ($3::text[])
        WHERE v.gallery_id = i.gallery_id AND v.uri_key = i.uri_key AND v.content_hash <> ''
            AND own.id IS NULL
    )
GROUP BY p.outcome
