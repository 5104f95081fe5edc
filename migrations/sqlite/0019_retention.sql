-- What galleries no longer keep, and who removed it. As of erasures, no name, URI or content stays.

-- "counts" is a domain::RetentionCounts.
CREATE TABLE retentions (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    gallery     TEXT    NOT NULL,
    removed_by  TEXT    NOT NULL,
    counts      TEXT    NOT NULL CHECK (json_valid(counts)),
    begun_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Keyed hashes of images that were removed: jobs that name nobody do not bring them back. An
-- enrolment does, and deletes the hash.
CREATE TABLE removed_images (
    hash BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32)
) STRICT, WITHOUT ROWID;

-- Hashes of their contents, until they are removed from the chip cache.
CREATE TABLE removed_contents (
    content_hash BLOB NOT NULL PRIMARY KEY CHECK (length(content_hash) = 32)
) STRICT, WITHOUT ROWID;

CREATE INDEX enrolments_rejected ON enrolments (image_id) WHERE decision = 'rejected';

-- In the order of time, for the audit.
CREATE INDEX enrolments_by_time ON enrolments (decided_at_ms, subject_id, image_id);
CREATE INDEX curations_by_time ON curations (decided_at_ms, id);
