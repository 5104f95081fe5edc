-- How often in a row a run was taken over from a process that did not hand it over.
ALTER TABLE schedule_runs ADD COLUMN take_overs bigint NOT NULL DEFAULT 0;

-- Whoever claims slots deletes old runs.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'schedule_runs'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT DELETE ON schedule_runs TO %s', held.role);
    END LOOP;
END
$$;
