-- Subjects with their references, and the decisions of enrolments. References and decisions are
-- about images, so they outlive profiles. Whoever decides holds the lock of the subject's row.
CREATE TABLE subjects (
    id         bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gallery_id bigint      NOT NULL REFERENCES galleries (id),
    -- In the order of its bytes, as in SQLite.
    name       text        COLLATE "C" NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (gallery_id, name)
);

-- "job_id" is the job that asked last. "reasons" is an array of domain::Reason.
CREATE TABLE enrolments (
    subject_id bigint      NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    image_id   bigint      NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    job_id     uuid        NOT NULL,
    profile_id text        NOT NULL,
    decision   text        NOT NULL,
    reasons    jsonb       NOT NULL,
    decided_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject_id, image_id)
);
CREATE INDEX enrolments_by_image ON enrolments (image_id);
CREATE INDEX enrolments_by_job ON enrolments (job_id);

-- What was decided for each job: a job that is delivered again is decided once, and campaigns count
-- their own jobs. "subject_id" is null if the subject was removed.
CREATE TABLE enrolment_jobs (
    job_id     uuid   PRIMARY KEY,
    subject_id bigint REFERENCES subjects (id) ON DELETE SET NULL,
    image_id   bigint NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    decision   text   NOT NULL
);
CREATE INDEX enrolment_jobs_by_subject ON enrolment_jobs (subject_id);
CREATE INDEX enrolment_jobs_by_image ON enrolment_jobs (image_id);

-- "set_aside" is why a reference does not count; null: it is active.
CREATE TABLE subject_references (
    subject_id bigint      NOT NULL REFERENCES subjects (id) ON DELETE CASCADE,
    image_id   bigint      NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    set_aside  text,
    since      timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (subject_id, image_id)
);
CREATE INDEX subject_references_by_image ON subject_references (image_id);

-- Whoever may read or write images may do so with these. Whoever may insert images is a worker, and
-- deletes what a later decision replaces.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role, a.privilege_type AS privilege FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'images'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE') AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT %s ON subjects, enrolments, enrolment_jobs, subject_references TO %s', held.privilege, held.role);
        IF held.privilege = 'INSERT' THEN
            EXECUTE format('GRANT DELETE ON subjects, enrolments, enrolment_jobs, subject_references TO %s', held.role);
        END IF;
    END LOOP;
END
$$;
