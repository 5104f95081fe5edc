-- Excluded images too: they keep a result under each profile, for when they are restored.
SELECT id
FROM results
WHERE gallery_profile_id = ?1 AND superseded = 0 AND outcome = ?2 AND id > ?3
ORDER BY id
LIMIT ?4
