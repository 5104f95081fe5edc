SELECT r.id
FROM unnest($2::text[]) k (outcome)
CROSS JOIN LATERAL (
    SELECT id
    FROM results
    WHERE gallery_profile_id = $1 AND NOT superseded AND outcome = k.outcome AND id > $3
        AND id NOT IN (SELECT id FROM excluded_results WHERE gallery_profile_id = $1)
    ORDER BY id
    LIMIT $4
) r
ORDER BY r.id
LIMIT $4
