SELECT
    id, host, pid, version, queue, profile_id, provider, lanes, roots, resolved,
    listener, settings,
    last_seen BETWEEN now() - $1 * interval '1 ms' AND now() + $1 * interval '1 ms' AS live,
    floor(extract(epoch FROM started_at) * 1000)::bigint AS started_at_ms,
    floor(extract(epoch FROM last_seen) * 1000)::bigint AS last_seen_ms
FROM workers
WHERE last_seen BETWEEN now() - $2 * interval '1 ms' AND now() + $2 * interval '1 ms'
ORDER BY started_at, id
