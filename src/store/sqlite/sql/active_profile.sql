SELECT gallery_id, gallery_profile_id, profile AS profile_id
FROM facefleet_active_profiles
WHERE gallery = ?1
