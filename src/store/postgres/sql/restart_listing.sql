UPDATE campaigns SET
    listed = 0,
    listing_done = false,
    chunk_from = NULL,
    chunk_to = NULL
WHERE id = $1
