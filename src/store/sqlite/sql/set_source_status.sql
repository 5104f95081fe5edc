INSERT INTO source_troubles (name, reason, since_ms, seen_ms)
VALUES (?1, ?2, ?3, ?3)
ON CONFLICT (name) DO UPDATE SET
    since_ms = iif(
        reason IS NULL OR excluded.reason IS NULL OR seen_ms < ?4, excluded.since_ms, since_ms
    ),
    reason = excluded.reason,
    seen_ms = excluded.seen_ms
