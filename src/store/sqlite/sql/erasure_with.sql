SELECT id, gallery, kind, target, erased_by, counts, begun_at_ms, ended_at_ms
FROM erasures
WHERE target = ?1
