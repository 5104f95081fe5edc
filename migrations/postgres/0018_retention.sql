-- What galleries no longer keep, and who removed it. As of erasures, no name, URI or content stays.

-- "counts" is a domain::RetentionCounts.
CREATE TABLE retentions (
    id         uuid        NOT NULL PRIMARY KEY,
    gallery    text        NOT NULL,
    removed_by text        NOT NULL,
    counts     text        NOT NULL,
    begun_at   timestamptz NOT NULL DEFAULT now(),
    ended_at   timestamptz
);

-- Keyed hashes of images that were removed: jobs that name nobody do not bring them back. An
-- enrolment does, and deletes the hash.
CREATE TABLE removed_images (
    hash bytea NOT NULL PRIMARY KEY CHECK (octet_length(hash) = 32)
);

-- Hashes of their contents, until they are removed from the chip cache.
CREATE TABLE removed_contents (
    content_hash bytea NOT NULL PRIMARY KEY CHECK (octet_length(content_hash) = 32)
);

CREATE INDEX enrolments_rejected ON enrolments (image_id) WHERE decision = 'rejected';

-- In the order of time, for the audit.
CREATE INDEX enrolments_by_time ON enrolments (decided_at, subject_id, image_id);
CREATE INDEX curations_by_time ON curations (decided_at, id);

-- Whoever may insert images is a worker: it has to know what was removed, and brings back what is
-- enrolled. Whoever may add galleries is an operator, who may see who erased and removed something.
-- Only the owner removes.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role, c.relname AS relation FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid IN ('images'::regclass, 'galleries'::regclass) AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
    LOOP
        IF held.relation = 'images' THEN
            EXECUTE format('GRANT SELECT, DELETE ON removed_images TO %s', held.role);
        ELSE
            EXECUTE format('GRANT SELECT ON erasures, retentions TO %s', held.role);
        END IF;
    END LOOP;
END
$$;
