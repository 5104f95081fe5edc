-- What was erased, so that nothing brings it back. No name, URI or content is kept, only hashes with
-- a key of this store. Whoever erases holds an advisory lock that whoever records holds shared.

-- One row, made by the first erasure.
CREATE TABLE erasure_key (
    id     integer NOT NULL PRIMARY KEY CHECK (id = 1),
    secret bytea   NOT NULL CHECK (octet_length(secret) = 32)
);

-- "target" is the keyed hash of the image or the person. "counts" is a domain::ErasureCounts.
CREATE TABLE erasures (
    id        uuid        NOT NULL PRIMARY KEY,
    gallery   text        NOT NULL,
    kind      text        NOT NULL,
    target    bytea       NOT NULL UNIQUE CHECK (octet_length(target) = 32),
    erased_by text        NOT NULL,
    counts    text        NOT NULL,
    begun_at  timestamptz NOT NULL DEFAULT now(),
    ended_at  timestamptz
);

-- Keyed hashes of galleries, subjects, URIs and contents whose jobs end as erased.
CREATE TABLE tombstones (
    hash       bytea NOT NULL PRIMARY KEY CHECK (octet_length(hash) = 32),
    erasure_id uuid  NOT NULL REFERENCES erasures (id)
);

-- Hashes of contents that may be in the chip cache, until the erasure has ended.
CREATE TABLE erasure_contents (
    erasure_id   uuid  NOT NULL REFERENCES erasures (id),
    content_hash bytea NOT NULL CHECK (octet_length(content_hash) = 32),
    PRIMARY KEY (erasure_id, content_hash)
);

-- Whoever may insert images is a worker and has to know what was erased. Only the owner erases.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'images'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT SELECT ON erasure_key, tombstones TO %s', held.role);
    END LOOP;
END
$$;
