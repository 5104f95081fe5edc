-- Of the same target, the erasure that is there, as it is.
INSERT INTO erasures (id, gallery, kind, target, erased_by, counts, begun_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5, '{}', ?6)
ON CONFLICT (target) DO UPDATE SET target = excluded.target
RETURNING id, gallery, kind, target, erased_by, counts, begun_at_ms, ended_at_ms
