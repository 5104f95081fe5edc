-- Which images are new since a missing one was last known to be there: only such an image can be the
-- new place of one that was moved. Images with higher ids than "new_after" are new.

-- That of the first listing since the last complete one; null: since this listing began. "failed":
-- something could not be listed, so nothing can be said to be missing.
ALTER TABLE tracked_listings ADD COLUMN new_after bigint;
ALTER TABLE tracked_listings ADD COLUMN failed boolean NOT NULL DEFAULT false;

-- 0: nobody knows.
ALTER TABLE missing_images ADD COLUMN new_after bigint NOT NULL DEFAULT 0;

-- Whoever may list may note that a listing failed.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'tracked_listings'::regclass AND a.privilege_type = 'INSERT' AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT UPDATE ON tracked_listings TO %s', held.role);
    END LOOP;
END
$$;
