-- Of the same target, the erasure that is there, as it is.
INSERT INTO erasures (id, gallery, kind, target, erased_by, counts)
VALUES ($1, $2, $3, $4, $5, '{}')
ON CONFLICT (target) DO UPDATE SET target = excluded.target
RETURNING
    id, gallery, kind, target, erased_by, counts,
    floor(extract(epoch FROM begun_at) * 1000)::bigint AS begun_at_ms,
    floor(extract(epoch FROM ended_at) * 1000)::bigint AS ended_at_ms
