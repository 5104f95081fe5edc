UPDATE retentions SET ended_at_ms = ?2 WHERE id = ?1
RETURNING id, gallery, removed_by, counts, begun_at_ms, ended_at_ms
