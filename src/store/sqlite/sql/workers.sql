SELECT
    id, host, pid, version, queue, profile_id, provider, lanes, roots, resolved,
    listener, settings,
    last_seen_ms >= ?1 AS live, started_at_ms, last_seen_ms
FROM workers
WHERE last_seen_ms >= ?2
ORDER BY started_at_ms, id
