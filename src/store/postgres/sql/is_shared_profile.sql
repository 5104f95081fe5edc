SELECT EXISTS (SELECT FROM gallery_profiles WHERE profile_id = $1 AND id <> $2)
