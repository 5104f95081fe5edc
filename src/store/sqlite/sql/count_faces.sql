-- Reads every face of a gallery: an index must hold all columns. Those of excluded images are few:
-- they are counted apart, and taken off.
SELECT quality, sum(faces) AS faces
FROM (
    SELECT quality, count(*) AS faces
    FROM faces
    WHERE gallery_profile_id = ?1 AND superseded = 0
    GROUP BY quality
    UNION ALL
    SELECT f.quality, -count(*)
    FROM excluded_results x
    CROSS JOIN faces f ON f.result_id = x.id AND f.superseded = 0
    WHERE x.gallery_profile_id = ?1
    GROUP BY f.quality
)
GROUP BY quality
HAVING sum(faces) > 0
