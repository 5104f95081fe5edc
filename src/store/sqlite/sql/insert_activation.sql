-- Nothing if another profile is active, or the new one has no results.
INSERT INTO activations (
    gallery_id, profile_id, activated_by, forced, images, covered, reference_count,
    lost_references, activated_at_ms
)
SELECT a.gallery_id, ?2, ?4, ?5, ?6, ?7, ?8, ?9, ?10
FROM facefleet_active_profiles a
JOIN gallery_profiles gp ON gp.gallery_id = a.gallery_id AND gp.profile_id = ?2
WHERE a.gallery = ?1 AND a.profile = ?3
