-- Workers that run. Each writes its row every few seconds, and deletes it when it stops. The row of a worker that died, or that lost the
-- file, is not written any more.
CREATE TABLE workers (
    id            BLOB    NOT NULL PRIMARY KEY,
    host          TEXT    NOT NULL,
    pid           INTEGER NOT NULL,
    version       TEXT    NOT NULL,
    -- The virtual host and the prefix of its queue.
    queue         TEXT    NOT NULL,
    profile_id    TEXT    NOT NULL,
    provider      TEXT    NOT NULL,
    -- JSON arrays of texts.
    lanes         TEXT    NOT NULL,
    roots         TEXT    NOT NULL,
    resolved      TEXT    NOT NULL,
    listener      TEXT,
    -- A JSON object of texts.
    settings      TEXT    NOT NULL,
    started_at_ms INTEGER NOT NULL,
    last_seen_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
