-- Excluded images too: they keep a result under each profile, for when they are restored.
SELECT r.id
FROM unnest($2::text[]) k (outcome)
CROSS JOIN LATERAL (
    SELECT id
    FROM results
    WHERE gallery_profile_id = $1 AND NOT superseded AND outcome = k.outcome AND id > $3
    ORDER BY id
    LIMIT $4
) r
ORDER BY r.id
LIMIT $4
