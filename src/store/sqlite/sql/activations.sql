SELECT
    g.name AS gallery, a.profile_id, a.activated_by, a.forced, a.images, a.covered,
    a.reference_count, a.lost_references, a.activated_at_ms
FROM activations a
JOIN galleries g ON g.id = a.gallery_id
ORDER BY a.id DESC
