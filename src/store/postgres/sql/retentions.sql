SELECT
    id, gallery, removed_by, counts,
    floor(extract(epoch FROM begun_at) * 1000)::bigint AS begun_at_ms,
    floor(extract(epoch FROM ended_at) * 1000)::bigint AS ended_at_ms
FROM retentions
ORDER BY begun_at DESC, id
