-- Which profile of a gallery is active: the one that is shown, searched and enrolled under. Rows are
-- only ever added. "activated_by" is null, and so are the counts, if a migration made the row. The
-- counts are what was found when the profile was activated (domain::CoverageCounts).
CREATE TABLE activations (
    id              INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    gallery_id      INTEGER NOT NULL REFERENCES galleries (id),
    profile_id      TEXT    NOT NULL REFERENCES profiles (id),
    activated_by    TEXT,
    forced          INTEGER NOT NULL DEFAULT 0 CHECK (forced IN (0, 1)),
    images          INTEGER,
    covered         INTEGER,
    reference_count INTEGER,
    lost_references INTEGER,
    activated_at_ms INTEGER NOT NULL
) STRICT;
CREATE INDEX activations_by_gallery ON activations (gallery_id, profile_id);

-- Until now, the profile with the latest record was shown.
INSERT INTO activations (gallery_id, profile_id, activated_at_ms)
SELECT
    g.id,
    (SELECT gp.profile_id FROM gallery_profiles gp WHERE gp.gallery_id = g.id
     ORDER BY gp.touched DESC, gp.id DESC LIMIT 1),
    unixepoch() * 1000
FROM galleries g
WHERE (SELECT count(*) FROM gallery_profiles gp WHERE gp.gallery_id = g.id) > 1;

-- The active profile of each gallery with results: of the profiles with results, the one that was
-- activated last, or else the one with the gallery's first results.
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
