SELECT e.id, e.gallery, e.kind, e.target, e.erased_by, e.counts, e.begun_at_ms, e.ended_at_ms
FROM tombstones t
JOIN erasures e ON e.id = t.erasure_id
WHERE t.hash = ?1
