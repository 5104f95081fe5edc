SELECT count(*) AS count
FROM results
WHERE gallery_profile_id = $1 AND noted
