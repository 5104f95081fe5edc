-- What is known of every image. See src/store/mod.rs for what the rows mean.
--
-- Sizes to keep in mind: tens of millions of images, about as many results and faces. Every query that scans goes through an
-- index that holds all it needs, and "superseded = 0" is part of each, so that the past costs the present nothing.

-- "ffl1": tells this file from another program's database.
PRAGMA application_id = 0x66666c31;

CREATE TABLE profiles (
    id            TEXT    NOT NULL PRIMARY KEY CHECK (length(id) = 16),
    definition    TEXT    NOT NULL CHECK (json_valid(definition)),
    created_at_ms INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE galleries (
    id            INTEGER NOT NULL PRIMARY KEY,
    name          TEXT    NOT NULL UNIQUE,
    created_at_ms INTEGER NOT NULL
) STRICT;

-- One row for each gallery and profile that have results together: the two in one number, for the indexes below. The row recorded
-- to last has the highest "touched".
CREATE TABLE gallery_profiles (
    id         INTEGER NOT NULL PRIMARY KEY,
    gallery_id INTEGER NOT NULL REFERENCES galleries (id),
    profile_id TEXT    NOT NULL REFERENCES profiles (id),
    touched    INTEGER NOT NULL,
    UNIQUE (gallery_id, profile_id)
) STRICT;

-- A URI with the bytes it had. An empty hash stands for "no bytes came".
CREATE TABLE images (
    id           INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    gallery_id   INTEGER NOT NULL REFERENCES galleries (id),
    uri          TEXT    NOT NULL,
    content_hash BLOB    NOT NULL CHECK (length(content_hash) IN (0, 32)),
    bytes        INTEGER,
    width        INTEGER,
    height       INTEGER,
    UNIQUE (gallery_id, uri, content_hash)
) STRICT;

-- "id" is the cursor of pages, so it is never used twice (AUTOINCREMENT) and stays when a result is replaced.
-- "superseded" is on the result and not on the image: a failed fetch under one profile says nothing about another profile's results.
-- "stamp" is on the result too: it is the listed version that this result was made from.
-- "outcome" has no CHECK: more outcomes will come, and SQLite cannot alter a CHECK without rewriting the table.
CREATE TABLE results (
    id                 INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    image_id           INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    gallery_profile_id INTEGER NOT NULL REFERENCES gallery_profiles (id),
    superseded         INTEGER NOT NULL DEFAULT 0 CHECK (superseded IN (0, 1)),
    outcome            TEXT    NOT NULL,
    reason             TEXT,
    selection          TEXT    NOT NULL,
    stamp              TEXT,
    provider           TEXT    NOT NULL,
    fetch_ms           REAL    NOT NULL,
    vision_ms          REAL    NOT NULL,
    recognise_ms       REAL    NOT NULL,
    attempt            INTEGER NOT NULL,
    job_id             BLOB    NOT NULL CHECK (length(job_id) = 16),
    recorded_at_ms     INTEGER NOT NULL,
    UNIQUE (image_id, gallery_profile_id)
) STRICT;

-- "superseded" stands in both partial indexes, constant as it is: SQLite takes an index for covering only if it holds the column.

-- Pages (one range for each outcome, in order of id), and the counts by outcome and provider without touching the table.
CREATE INDEX results_current ON results (gallery_profile_id, outcome, id, provider, superseded) WHERE superseded = 0;

-- "gallery_profile_id" and "superseded" repeat the result's, for the index.
CREATE TABLE faces (
    id                 INTEGER NOT NULL PRIMARY KEY,
    result_id          INTEGER NOT NULL REFERENCES results (id) ON DELETE CASCADE,
    face_index         INTEGER NOT NULL CHECK (face_index >= 0),
    gallery_profile_id INTEGER NOT NULL,
    superseded         INTEGER NOT NULL DEFAULT 0 CHECK (superseded IN (0, 1)),
    x                  REAL    NOT NULL,
    y                  REAL    NOT NULL,
    width              REAL    NOT NULL,
    height             REAL    NOT NULL,
    landmarks          BLOB    CHECK (length(landmarks) = 40),
    detector_score     REAL,
    distance           REAL,
    score              REAL    CHECK (score BETWEEN 0.0 AND 1.0),
    quality            INTEGER CHECK (quality BETWEEN 0 AND 100),
    norm               REAL,
    UNIQUE (result_id, face_index),
    CHECK ((score IS NULL) = (distance IS NULL) AND (score IS NULL) = (quality IS NULL) AND (score IS NULL) = (norm IS NULL))
) STRICT;

-- The lowest and highest scores, and the histogram without touching the table.
CREATE INDEX faces_by_score ON faces (gallery_profile_id, score, quality, superseded) WHERE superseded = 0;

-- Apart from faces, so that counting and sorting faces never drags vectors through the cache.
CREATE TABLE templates (
    face_id   INTEGER NOT NULL PRIMARY KEY REFERENCES faces (id) ON DELETE CASCADE,
    dimension INTEGER NOT NULL CHECK (dimension > 0),
    -- Little-endian 32-bit floats.
    vector    BLOB    NOT NULL CHECK (length(vector) = 4 * dimension)
) STRICT;
