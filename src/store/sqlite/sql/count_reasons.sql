-- Only these outcomes have reasons. The index skips the many results of other outcomes.
SELECT outcome, reason, count(*) AS images
FROM results
WHERE gallery_profile_id = ?1
    AND superseded = 0
    AND outcome IN (SELECT value FROM json_each(?2))
    AND reason IS NOT NULL
    AND id NOT IN (SELECT id FROM excluded_results WHERE gallery_profile_id = ?1)
GROUP BY outcome, reason
ORDER BY images DESC, outcome, reason
LIMIT ?3
