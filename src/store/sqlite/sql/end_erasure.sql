-- An erasure that had ended, and removed nothing since, keeps its time.
UPDATE erasures SET counts = ?2, ended_at_ms = iif(?4, ?3, coalesce(ended_at_ms, ?3))
WHERE id = ?1
RETURNING id, gallery, kind, target, erased_by, counts, begun_at_ms, ended_at_ms
