INSERT INTO erasures (id, gallery, kind, target, erased_by, counts, begun_at_ms)
VALUES (?1, ?2, ?3, ?4, ?5, '{}', ?6)
ON CONFLICT (target) DO UPDATE SET erased_by = excluded.erased_by, ended_at_ms = NULL
RETURNING id, gallery, kind, target, erased_by, counts, begun_at_ms, ended_at_ms
