-- Which faces a campaign's jobs ask for, as results name it ("all/24/0.6"). Null: it began before that was kept.
ALTER TABLE campaigns ADD COLUMN selection text;

-- The outcome that a job is counted under, so that it counts under the new one when it ends again. Null: it was skipped, or counted
-- before that was kept.
ALTER TABLE campaign_jobs ADD COLUMN outcome text;

-- Whoever may count jobs may count them anew.
DO $$
DECLARE
    worker regrole;
BEGIN
    FOR worker IN
        SELECT a.grantee::regrole FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'campaign_jobs'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT UPDATE ON campaign_jobs TO %s', worker);
    END LOOP;
END
$$;

-- A result without bytes that stands beside the current result of the same gallery, URI and profile, whose bytes came: the latest
-- attempt to read the image got none. It is "superseded" too.
ALTER TABLE results ADD COLUMN noted boolean NOT NULL DEFAULT false;
CREATE INDEX results_noted ON results (gallery_profile_id) WHERE noted;
