UPDATE campaigns SET
    listed = 0,
    listing_done = 0,
    chunk_from = NULL,
    chunk_to = NULL
WHERE id = ?1
