SELECT
    id, host, pid, version, queue, profile_id, provider, lanes, roots, resolved,
    listener, settings,
    abs(last_seen_ms - ?1) <= ?2 AS live, started_at_ms, last_seen_ms
FROM workers
WHERE abs(last_seen_ms - ?1) <= ?3
ORDER BY started_at_ms, id
