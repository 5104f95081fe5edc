-- A campaign that is being listed replaces its position itself.
SELECT
    iif(listing_done = 1, chunk_from, NULL) AS chunk_from,
    iif(listing_done = 1, chunk_to, NULL) AS chunk_to, source
FROM campaigns
WHERE gallery = ?1
