-- What operators changed of subjects, and who, for the audit. No name stays: of a subject or an image
-- that is gone, there is no number either.
CREATE TABLE subject_changes (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    gallery_id    INTEGER NOT NULL REFERENCES galleries (id),
    subject_id    INTEGER REFERENCES subjects (id) ON DELETE SET NULL,
    image_id      INTEGER REFERENCES images (id) ON DELETE SET NULL,
    change        TEXT    NOT NULL
        CHECK (change IN ('renamed', 'merged', 'removed', 'set_aside', 'restored')),
    changed_by    TEXT    NOT NULL,
    changed_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX subject_changes_by_time ON subject_changes (changed_at_ms, id);
CREATE INDEX subject_changes_by_subject ON subject_changes (subject_id);
CREATE INDEX subject_changes_by_image ON subject_changes (image_id);
