-- Inserts nothing if the profile was never registered.
INSERT INTO campaigns (
    id, lane, gallery, profile_id, source, state, selection, started_at_ms
)
SELECT ?1, ?2, ?3, p.id, ?5, ?6, ?7, ?8
FROM profiles p
WHERE p.id = ?4
ON CONFLICT (id) DO UPDATE SET closed = 0, listing_error = NULL
