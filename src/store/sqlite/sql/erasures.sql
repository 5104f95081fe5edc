SELECT id, gallery, kind, target, erased_by, counts, begun_at_ms, ended_at_ms
FROM erasures
ORDER BY begun_at_ms DESC, id
