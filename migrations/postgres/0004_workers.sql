-- Workers that run. Each writes its row every few seconds, and deletes it when it stops. The row of a worker that died, or that lost the
-- database, is not written any more.
CREATE TABLE workers (
    id         uuid        NOT NULL PRIMARY KEY,
    host       text        NOT NULL,
    pid        bigint      NOT NULL,
    version    text        NOT NULL,
    -- The virtual host and the prefix of its queue.
    queue      text        NOT NULL,
    profile_id text        NOT NULL,
    provider   text        NOT NULL,
    -- JSON arrays of texts.
    lanes      text        NOT NULL,
    roots      text        NOT NULL,
    resolved   text        NOT NULL,
    listener   text,
    -- A JSON object of texts.
    settings   text        NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now(),
    last_seen  timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- Whoever may read or write campaigns may do so with these. Whoever may update campaigns is a worker, and deletes its row.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role, a.privilege_type AS privilege FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'campaigns'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE') AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT %s ON workers TO %s', held.privilege, held.role);
        IF held.privilege = 'UPDATE' THEN
            EXECUTE format('GRANT DELETE ON workers TO %s', held.role);
        END IF;
    END LOOP;
END
$$;
