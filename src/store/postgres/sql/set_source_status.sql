INSERT INTO source_troubles AS s (name, reason)
VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET
    since = CASE
        WHEN s.reason IS NULL
            OR excluded.reason IS NULL
            OR s.seen < now() - $3 * interval '1 ms' THEN excluded.since
        ELSE s.since
    END,
    reason = excluded.reason,
    seen = excluded.seen
