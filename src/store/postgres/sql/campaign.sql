SELECT
    id, lane, gallery, profile_id, selection, source, state, listed, skipped, listing_done,
    chunk_from, chunk_to, listing_error,
    floor(extract(epoch FROM started_at) * 1000)::bigint AS started_at_ms
FROM campaigns
WHERE id = $1
