UPDATE campaigns SET
    state = iif(closed = 0, 'cancelled', state),
    source = '(erased)',
    chunk_from = NULL,
    chunk_to = NULL,
    listing_error = NULL
WHERE gallery = ?1 AND source <> '(erased)'
