-- Subjects with their references, and the decisions of enrolments. References and decisions are
-- about images, so they outlive profiles.
CREATE TABLE subjects (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    gallery_id    INTEGER NOT NULL REFERENCES galleries (id),
    name          TEXT    NOT NULL,
    created_at_ms INTEGER NOT NULL,
    UNIQUE (gallery_id, name)
) STRICT;

-- "job_id" is the job that asked last. "reasons" is an array of domain::Reason.
CREATE TABLE enrolments (
    subject_id    INTEGER NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    image_id      INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    job_id        BLOB    NOT NULL CHECK (length(job_id) = 16),
    profile_id    TEXT    NOT NULL,
    decision      TEXT    NOT NULL,
    reasons       TEXT    NOT NULL CHECK (json_valid(reasons)),
    decided_at_ms INTEGER NOT NULL,
    PRIMARY KEY (subject_id, image_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolments_by_image ON enrolments (image_id);
CREATE INDEX enrolments_by_job ON enrolments (job_id);

-- What was decided for each job: a job that is delivered again is decided once, and campaigns count
-- their own jobs. "subject_id" is null if the subject was removed.
CREATE TABLE enrolment_jobs (
    job_id     BLOB    NOT NULL PRIMARY KEY CHECK (length(job_id) = 16),
    subject_id INTEGER REFERENCES subjects (id) ON DELETE SET NULL,
    image_id   INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    decision   TEXT    NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX enrolment_jobs_by_subject ON enrolment_jobs (subject_id);
CREATE INDEX enrolment_jobs_by_image ON enrolment_jobs (image_id);

-- "set_aside" is why a reference does not count; null: it is active.
CREATE TABLE subject_references (
    subject_id INTEGER NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    image_id   INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    set_aside  TEXT,
    since_ms   INTEGER NOT NULL,
    PRIMARY KEY (subject_id, image_id)
) STRICT, WITHOUT ROWID;
CREATE INDEX subject_references_by_image ON subject_references (image_id);
