SELECT count(*)
FROM faces
WHERE gallery_profile_id = ?1 AND superseded = 0 AND score IS NOT NULL
