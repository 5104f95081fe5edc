SELECT
    i.id AS image_id, i.uri, i.content_hash,
    f.result_id, f.face_index, f.x, f.y, f.width, f.height, f.landmarks, f.detector_score,
    f.distance, f.score, f.quality, f.norm, NULL AS template,
    f.components_inter_eye_distance_value, f.components_crop_left_value,
    f.components_crop_right_value, f.components_cut_off_value,
    f.components_under_exposure_value, f.components_over_exposure_value,
    f.components_dynamic_range_value, f.components_luminance_mean_value,
    f.components_luminance_variance_value, f.components_illumination_uniformity_value,
    f.components_natural_colour_value, f.components_single_face_value, f.components_yaw_value,
    f.components_pitch_value, f.components_roll_value, f.components_sharpness_value
FROM faces f
JOIN results r ON r.id = f.result_id
JOIN images i ON i.id = r.image_id
WHERE f.gallery_profile_id = ?1 AND f.superseded = 0 AND f.score IS NOT NULL
    AND f.result_id NOT IN (SELECT id FROM excluded_results WHERE gallery_profile_id = ?1)
ORDER BY f.score DESC, f.quality DESC, f.id DESC
LIMIT ?2
