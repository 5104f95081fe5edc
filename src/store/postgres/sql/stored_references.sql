SELECT
    sr.image_id, src.uri, sr.set_aside,
    floor(extract(epoch FROM sr.since) * 1000)::bigint AS since_ms,
    EXISTS (
        SELECT
        FROM results t
        JOIN faces f ON f.result_id = t.id AND f.face_index = 0 AND f.score IS NOT NULL
        WHERE t.image_id = sr.image_id AND t.gallery_profile_id = (
            SELECT a.gallery_profile_id
            FROM subjects s
            JOIN facefleet_active_profiles a ON a.gallery_id = s.gallery_id
            WHERE s.id = $1
        )
    ) AS has_template
FROM subject_references sr
JOIN images i ON i.id = sr.image_id
JOIN sources src ON src.gallery_id = i.gallery_id AND src.uri_key = i.uri_key
WHERE sr.subject_id = $1
ORDER BY sr.set_aside IS NOT NULL, sr.image_id
