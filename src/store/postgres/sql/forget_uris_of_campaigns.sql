-- A campaign that is being listed goes on from its position, and replaces it itself.
UPDATE campaigns SET
    chunk_from = CASE WHEN listing_done THEN NULL ELSE chunk_from END,
    chunk_to = CASE WHEN listing_done THEN NULL ELSE chunk_to END,
    source = CASE
        WHEN EXISTS (SELECT FROM unnest($2::text[]) k (uri) WHERE strpos(source, k.uri) > 0)
        THEN '(erased)' ELSE source
    END,
    listing_error = NULL
WHERE gallery = $1
    AND EXISTS (
        SELECT FROM unnest($2::text[]) k (uri)
        WHERE (listing_done AND k.uri IN (chunk_from, chunk_to))
            OR strpos(listing_error, k.uri) > 0
            OR strpos(source, k.uri) > 0
    )
