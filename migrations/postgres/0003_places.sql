-- Which campaigns may have jobs that wait at a place of their own, and which sources of images did not answer.

-- Over, and its place on the queue removed: workers need not look at it any more. Those that were over before are.
ALTER TABLE campaigns ADD COLUMN closed boolean NOT NULL DEFAULT false;
UPDATE campaigns SET closed = true WHERE state = 'cancelled' OR (listing_done AND listed <= skipped +
    (SELECT coalesce(sum(jobs), 0) FROM campaign_outcomes WHERE campaign_id = campaigns.id));
CREATE INDEX campaigns_open ON campaigns (id) WHERE NOT closed;

-- Sources that workers had trouble with. "reason" is null once a worker found it well again; what no worker has seen for a while is
-- taken to be over.
CREATE TABLE source_troubles (
    name   text        NOT NULL PRIMARY KEY,
    reason text,
    since  timestamptz NOT NULL DEFAULT now(),
    seen   timestamptz NOT NULL DEFAULT now()
);

-- Whoever may read or write campaigns may do so with these.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role, a.privilege_type AS privilege FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'campaigns'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE') AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT %s ON source_troubles TO %s', held.privilege, held.role);
    END LOOP;
END
$$;
