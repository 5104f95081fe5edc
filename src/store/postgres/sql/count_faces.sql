-- Reads every face of a gallery: an index must hold all columns. Those of excluded images are few:
-- they are counted apart, and taken off.
SELECT quality, sum(faces)::bigint AS faces
FROM (
    SELECT quality, count(*) AS faces
    FROM faces
    WHERE gallery_profile_id = $1 AND NOT superseded
    GROUP BY quality
    UNION ALL
    SELECT f.quality, -count(*)
    FROM excluded_results x
    JOIN faces f ON f.result_id = x.id AND NOT f.superseded
    WHERE x.gallery_profile_id = $1
    GROUP BY f.quality
) counted
GROUP BY quality
HAVING sum(faces) > 0
