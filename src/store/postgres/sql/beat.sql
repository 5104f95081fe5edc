-- What a worker reports does not change while it runs.
WITH forgotten AS (
    DELETE FROM workers
    WHERE id <> $1
        AND last_seen NOT BETWEEN now() - $13 * interval '1 ms' AND now() + $13 * interval '1 ms'
)
INSERT INTO workers (
    id, host, pid, version, queue, profile_id, provider, lanes, roots, resolved, listener,
    settings
)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
ON CONFLICT (id) DO UPDATE SET last_seen = excluded.last_seen
