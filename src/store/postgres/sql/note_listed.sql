UPDATE campaigns SET
    listed = listed + $2,
    skipped = skipped + $3,
    chunk_from = $4,
    chunk_to = $5
WHERE id = $1
