-- Whether anybody still reads a state of this database from before a transaction, or would if they
-- began now: a snapshot goes back to the oldest transaction that runs, in any database.
SELECT pg_snapshot_xmin(pg_current_snapshot()) <= $1::text::xid8 OR EXISTS (
    SELECT FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
        AND age(backend_xmin) >= age($1::text::xid8::xid)
)
