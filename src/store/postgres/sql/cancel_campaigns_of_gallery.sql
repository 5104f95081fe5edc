UPDATE campaigns SET
    state = CASE WHEN closed THEN state ELSE 'cancelled' END,
    source = '(erased)',
    chunk_from = NULL,
    chunk_to = NULL,
    listing_error = NULL
WHERE gallery = $1 AND source <> '(erased)'
