-- Schedules, and the runs of their slots.
CREATE TABLE schedules (
    name        TEXT NOT NULL PRIMARY KEY,
    -- JSON: what, when, and what becomes of missed slots.
    definition  TEXT NOT NULL,
    -- When: another text begins anew. Empty: the schedule is off.
    timing      TEXT NOT NULL,
    -- The first slot that nobody has claimed.
    next_due_ms INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE schedule_runs (
    schedule      TEXT    NOT NULL,
    slot_ms       INTEGER NOT NULL,
    campaign_id   BLOB CHECK (length(campaign_id) = 16),
    state         TEXT    NOT NULL,
    -- JSON: what is done.
    plan          TEXT,
    -- The process that is at it, and its name.
    owner         BLOB    NOT NULL CHECK (length(owner) = 16),
    claimed_by    TEXT    NOT NULL,
    started_at_ms INTEGER NOT NULL,
    -- When that process last said that it is at it.
    beat_ms       INTEGER NOT NULL,
    ended_at_ms   INTEGER,
    error         TEXT,
    PRIMARY KEY (schedule, slot_ms)
) STRICT, WITHOUT ROWID;

CREATE INDEX schedule_runs_running ON schedule_runs (schedule) WHERE state = 'running';
