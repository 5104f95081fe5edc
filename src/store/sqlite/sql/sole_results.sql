-- What a gallery has under one of its profiles alone: current, final results of images, whatever
-- their bytes, and templates of active references.
WITH sole_references (subject_id) AS (
    SELECT sr.subject_id
    FROM gallery_profiles gp
    CROSS JOIN subjects s ON s.gallery_id = gp.gallery_id
    CROSS JOIN subject_references sr ON sr.subject_id = s.id AND sr.set_aside IS NULL
    CROSS JOIN results r ON r.image_id = sr.image_id AND r.gallery_profile_id = gp.id
    CROSS JOIN faces f ON f.result_id = r.id AND f.face_index = 0 AND f.score IS NOT NULL
    WHERE gp.id = ?1 AND NOT EXISTS (
        SELECT 1
        FROM results o
        JOIN faces t ON t.result_id = o.id AND t.face_index = 0 AND t.score IS NOT NULL
        WHERE o.image_id = sr.image_id AND o.gallery_profile_id <> ?1
    )
)
SELECT
    (
        SELECT count(*)
        FROM json_each(?2) k
        CROSS JOIN results r
            ON r.gallery_profile_id = ?1 AND r.outcome = k.value AND r.superseded = 0
        CROSS JOIN images i ON i.id = r.image_id AND i.content_hash <> x''
        WHERE NOT EXISTS (
            SELECT 1
            FROM images v
            CROSS JOIN results o
                ON o.image_id = v.id AND o.gallery_profile_id <> ?1 AND o.superseded = 0
                AND o.outcome IN (SELECT value FROM json_each(?2))
            WHERE v.gallery_id = i.gallery_id AND v.uri = i.uri AND v.content_hash <> x''
        )
    ) AS images,
    (SELECT count(*) FROM sole_references) AS reference_count,
    (SELECT count(DISTINCT subject_id) FROM sole_references) AS subjects
