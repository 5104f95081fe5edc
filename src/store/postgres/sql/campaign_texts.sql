-- A campaign that is being listed replaces its position itself.
SELECT
    CASE WHEN listing_done THEN chunk_from END AS chunk_from,
    CASE WHEN listing_done THEN chunk_to END AS chunk_to, source
FROM campaigns
WHERE gallery = $1
