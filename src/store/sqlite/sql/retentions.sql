SELECT id, gallery, removed_by, counts, begun_at_ms, ended_at_ms
FROM retentions
ORDER BY begun_at_ms DESC, id
