-- The active references of a gallery, and those without a template under its active profile.
SELECT
    count(*) AS reference_count,
    count(*) FILTER (WHERE NOT EXISTS (
        SELECT
        FROM results own
        JOIN faces f ON f.result_id = own.id AND f.face_index = 0 AND f.score IS NOT NULL
        WHERE own.image_id = sr.image_id AND own.gallery_profile_id = $2
    )) AS lost_references
FROM subjects s
JOIN subject_references sr ON sr.subject_id = s.id AND sr.set_aside IS NULL
WHERE s.gallery_id = $1
