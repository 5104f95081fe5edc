-- What operators changed of subjects, and who, for the audit. No name stays: of a subject or an image
-- that is gone, there is no number either.
CREATE TABLE subject_changes (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gallery_id bigint      NOT NULL REFERENCES galleries (id),
    subject_id bigint      REFERENCES subjects (id) ON DELETE SET NULL,
    image_id   bigint      REFERENCES images (id) ON DELETE SET NULL,
    change     text        NOT NULL
        CHECK (change IN ('renamed', 'merged', 'removed', 'set_aside', 'restored')),
    changed_by text        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX subject_changes_by_time ON subject_changes (changed_at, id);
CREATE INDEX subject_changes_by_subject ON subject_changes (subject_id);
CREATE INDEX subject_changes_by_image ON subject_changes (image_id);

-- Whoever may add galleries is an operator: it may add and see these, and change and delete none.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'galleries'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT SELECT, INSERT ON subject_changes TO %s', held.role);
    END LOOP;
END
$$;
