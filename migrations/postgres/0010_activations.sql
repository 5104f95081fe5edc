-- Which profile of a gallery is active: the one that is shown, searched and enrolled under. Rows are
-- only ever added. "activated_by" is null, and so are the counts, if a migration made the row. The
-- counts are what was found when the profile was activated (domain::CoverageCounts).
CREATE TABLE activations (
    id              bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gallery_id      bigint      NOT NULL REFERENCES galleries (id),
    profile_id      text        NOT NULL REFERENCES profiles (id),
    activated_by    text,
    forced          boolean     NOT NULL DEFAULT false,
    images          bigint,
    covered         bigint,
    reference_count bigint,
    lost_references bigint,
    activated_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX activations_by_gallery ON activations (gallery_id, profile_id);

-- Until now, the profile with the latest record was shown.
INSERT INTO activations (gallery_id, profile_id)
SELECT
    g.id,
    (SELECT gp.profile_id FROM gallery_profiles gp WHERE gp.gallery_id = g.id
     ORDER BY gp.touched DESC, gp.id DESC LIMIT 1)
FROM galleries g
WHERE (SELECT count(*) FROM gallery_profiles gp WHERE gp.gallery_id = g.id) > 1;

-- The active profile of each gallery with results: of the profiles with results, the one that was
-- activated last, or else the one with the gallery's first results. It reads the tables with its
-- owner's rights.
CREATE VIEW facefleet_active_profiles AS
SELECT
    g.name AS gallery, gp.profile_id AS profile, g.id AS gallery_id, gp.id AS gallery_profile_id
FROM galleries g
JOIN gallery_profiles gp ON gp.id = (
    SELECT o.id
    FROM gallery_profiles o
    LEFT JOIN activations a ON a.gallery_id = o.gallery_id AND a.profile_id = o.profile_id
    WHERE o.gallery_id = g.id
    ORDER BY a.id DESC NULLS LAST, o.id
    LIMIT 1
);

-- Whoever may read galleries may read these. Operators use the role that may add galleries: it may
-- add activations, and change and delete none.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role, a.privilege_type AS privilege FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'galleries'::regclass AND a.privilege_type IN ('SELECT', 'INSERT') AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT %s ON activations TO %s', held.privilege, held.role);
        IF held.privilege = 'SELECT' THEN
            EXECUTE format('GRANT SELECT ON facefleet_active_profiles TO %s', held.role);
        END IF;
    END LOOP;
END
$$;
