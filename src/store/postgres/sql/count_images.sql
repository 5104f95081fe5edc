-- Reads every result of a gallery: an index must hold all columns.
SELECT outcome, provider, count(*) AS images
FROM results
WHERE gallery_profile_id = $1 AND NOT superseded
GROUP BY outcome, provider
