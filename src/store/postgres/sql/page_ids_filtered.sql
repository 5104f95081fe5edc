-- Reads the results of each outcome in order, from the index alone, and ends with the page: the
-- pages together read each result once. The conditions are subqueries of one value: Postgres would
-- answer EXISTS from a hash of all faces, for each page anew. A null condition is none.
SELECT r.id
FROM unnest($2::text[]) k (outcome)
CROSS JOIN LATERAL (
    SELECT c.id
    FROM (
        SELECT id
        FROM results
        WHERE gallery_profile_id = $1 AND NOT superseded AND outcome = k.outcome AND id > $3
            AND id NOT IN (SELECT id FROM excluded_results WHERE gallery_profile_id = $1)
        ORDER BY id
        OFFSET 0
    ) c
    WHERE ($5::bigint IS NULL OR (
            SELECT n.recorded_at >= to_timestamp($5 / 1000.0::float8)
            FROM results n
            WHERE n.id = c.id
        ))
        AND ($6::smallint IS NULL OR (
            SELECT bool_or(f.quality BETWEEN $6 AND $7::smallint)
            FROM faces f
            WHERE f.result_id = c.id
        ))
    ORDER BY c.id
    LIMIT $4
) r
ORDER BY r.id
LIMIT $4
