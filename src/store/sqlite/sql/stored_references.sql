SELECT
    sr.image_id, i.uri, sr.set_aside, sr.since_ms,
    EXISTS (
        SELECT 1
        FROM results t
        JOIN faces f ON f.result_id = t.id AND f.face_index = 0 AND f.score IS NOT NULL
        WHERE t.image_id = sr.image_id AND t.gallery_profile_id = (
            SELECT a.gallery_profile_id
            FROM subjects s
            JOIN facefleet_active_profiles a ON a.gallery_id = s.gallery_id
            WHERE s.id = ?1
        )
    ) AS has_template
FROM subject_references sr
CROSS JOIN images i ON i.id = sr.image_id
WHERE sr.subject_id = ?1
ORDER BY sr.set_aside IS NOT NULL, sr.image_id
