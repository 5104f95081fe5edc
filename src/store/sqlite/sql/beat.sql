-- What a worker reports does not change while it runs.
INSERT INTO workers (
    id, host, pid, version, queue, profile_id, provider, lanes, roots, resolved, listener,
    settings, started_at_ms, last_seen_ms
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?13)
ON CONFLICT (id) DO UPDATE SET last_seen_ms = excluded.last_seen_ms
