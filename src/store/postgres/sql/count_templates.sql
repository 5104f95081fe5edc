SELECT count(*)
FROM faces
WHERE gallery_profile_id = $1 AND NOT superseded AND score IS NOT NULL
