-- What was erased, so that nothing brings it back. No name, URI or content is kept, only hashes with
-- a key of this store.

-- One row, made by the first erasure.
CREATE TABLE erasure_key (
    id     INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    secret BLOB    NOT NULL CHECK (length(secret) = 32)
) STRICT;

-- "target" is the keyed hash of the image or the person. "counts" is a domain::ErasureCounts.
CREATE TABLE erasures (
    id          BLOB    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    gallery     TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    target      BLOB    NOT NULL UNIQUE CHECK (length(target) = 32),
    erased_by   TEXT    NOT NULL,
    counts      TEXT    NOT NULL CHECK (json_valid(counts)),
    begun_at_ms INTEGER NOT NULL,
    ended_at_ms INTEGER
) STRICT, WITHOUT ROWID;

-- Keyed hashes of galleries, subjects, URIs and contents whose jobs end as erased.
CREATE TABLE tombstones (
    hash       BLOB NOT NULL PRIMARY KEY CHECK (length(hash) = 32),
    erasure_id BLOB NOT NULL REFERENCES erasures (id)
) STRICT, WITHOUT ROWID;

-- Hashes of contents that may be in the chip cache, until the erasure has ended.
CREATE TABLE erasure_contents (
    erasure_id   BLOB NOT NULL REFERENCES erasures (id),
    content_hash BLOB NOT NULL CHECK (length(content_hash) = 32),
    PRIMARY KEY (erasure_id, content_hash)
) STRICT, WITHOUT ROWID;
