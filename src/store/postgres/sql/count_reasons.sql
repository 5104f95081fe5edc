SELECT outcome, reason, count(*) AS images
FROM results
WHERE gallery_profile_id = $1
    AND NOT superseded
    AND outcome = ANY ($2::text[])
    AND reason IS NOT NULL
    AND id NOT IN (SELECT id FROM excluded_results WHERE gallery_profile_id = $1)
GROUP BY outcome, reason
ORDER BY images DESC, outcome, reason
LIMIT $3
