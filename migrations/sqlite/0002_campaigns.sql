-- Campaigns, and whose faces images show.

-- Whose face it is, as the operator names people. On the image: it is a fact about the picture, whatever the profile.
ALTER TABLE images ADD COLUMN subject TEXT;

CREATE TABLE campaigns (
    id            BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    lane          TEXT    NOT NULL,
    gallery       TEXT    NOT NULL,
    profile_id    TEXT    NOT NULL REFERENCES profiles (id),
    source        TEXT    NOT NULL,
    state         TEXT    NOT NULL,
    listed        INTEGER NOT NULL DEFAULT 0,
    skipped       INTEGER NOT NULL DEFAULT 0,
    listing_done  INTEGER NOT NULL DEFAULT 0 CHECK (listing_done IN (0, 1)),
    chunk_from    TEXT,
    chunk_to      TEXT,
    faces         INTEGER NOT NULL DEFAULT 0,
    started_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE campaign_outcomes (
    campaign_id BLOB    NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    outcome     TEXT    NOT NULL,
    jobs        INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, outcome)
) STRICT, WITHOUT ROWID;

-- The jobs that were skipped or ended: each counts once, however often it is delivered.
CREATE TABLE campaign_jobs (
    campaign_id BLOB NOT NULL REFERENCES campaigns (id) ON DELETE CASCADE,
    job_id      BLOB NOT NULL CHECK (length(job_id) = 16),
    PRIMARY KEY (campaign_id, job_id)
) STRICT, WITHOUT ROWID;
