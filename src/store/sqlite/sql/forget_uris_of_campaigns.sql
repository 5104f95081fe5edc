-- A campaign that is being listed goes on from its position, and replaces it itself.
UPDATE campaigns SET
    chunk_from = iif(listing_done = 1, NULL, chunk_from),
    chunk_to = iif(listing_done = 1, NULL, chunk_to),
    source = iif(
        EXISTS (SELECT 1 FROM json_each(?2) k WHERE instr(source, k.value) > 0), '(erased)', source
    ),
    listing_error = NULL
WHERE gallery = ?1
    AND EXISTS (
        SELECT 1 FROM json_each(?2) k
        WHERE (listing_done = 1 AND k.value IN (chunk_from, chunk_to))
            OR instr(listing_error, k.value) > 0
            OR instr(source, k.value) > 0
    )
