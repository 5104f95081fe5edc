-- Reads every result of a gallery: an index must hold all columns. Those of excluded images are few:
-- they are counted apart, and taken off.
SELECT outcome, provider, sum(images) AS images
FROM (
    SELECT outcome, provider, count(*) AS images
    FROM results
    WHERE gallery_profile_id = ?1 AND superseded = 0
    GROUP BY outcome, provider
    UNION ALL
    SELECT r.outcome, r.provider, -count(*)
    FROM excluded_results x
    CROSS JOIN results r ON r.id = x.id AND r.superseded = 0
    WHERE x.gallery_profile_id = ?1
    GROUP BY r.outcome, r.provider
)
GROUP BY outcome, provider
HAVING sum(images) > 0
