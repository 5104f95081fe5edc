-- Reads the results of each outcome in order, and ends with the page: the pages together read each
-- result once. A condition whose value is null is none.
SELECT r.id
FROM unnest($2::text[]) k (outcome)
CROSS JOIN LATERAL (
    SELECT c.id
    FROM results c
    WHERE c.gallery_profile_id = $1 AND NOT c.superseded AND c.outcome = k.outcome AND c.id > $3
        AND ($5::bigint IS NULL OR c.recorded_at >= to_timestamp($5 / 1000.0::float8))
        AND ($6::smallint IS NULL OR EXISTS (
            SELECT FROM faces f WHERE f.result_id = c.id AND f.quality BETWEEN $6 AND $7::smallint
        ))
    ORDER BY c.id
    LIMIT $4
) r
ORDER BY r.id
LIMIT $4
