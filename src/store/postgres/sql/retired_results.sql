SELECT id FROM results WHERE gallery_profile_id = $1 AND id > $2 ORDER BY id LIMIT $3
