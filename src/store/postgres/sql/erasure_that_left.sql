SELECT
    e.id, e.gallery, e.kind, e.target, e.erased_by, e.counts,
    floor(extract(epoch FROM e.begun_at) * 1000)::bigint AS begun_at_ms,
    floor(extract(epoch FROM e.ended_at) * 1000)::bigint AS ended_at_ms
FROM tombstones t
JOIN erasures e ON e.id = t.erasure_id
WHERE t.hash = $1
