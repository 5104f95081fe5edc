-- The quality is the highest one whose cutoff does not exceed the score. Without a score there is
-- none.
INSERT INTO faces (
    result_id, face_index, gallery_profile_id, x, y, width, height, landmarks,
    detector_score, distance, score, quality, norm,
    components_inter_eye_distance_value, components_crop_left_value,
    components_crop_right_value, components_cut_off_value, components_under_exposure_value,
    components_over_exposure_value, components_dynamic_range_value,
    components_luminance_mean_value, components_luminance_variance_value,
    components_illumination_uniformity_value, components_natural_colour_value,
    components_single_face_value, components_yaw_value, components_pitch_value,
    components_roll_value, components_sharpness_value
)
SELECT
    k.value ->> 1, f.face_index, ?2, f.x, f.y, f.width, f.height, f.landmarks,
    f.detector_score, f.distance, f.score,
    (SELECT c.quality FROM temp.cutoffs c WHERE c.score <= f.score
        ORDER BY c.score DESC, c.quality DESC LIMIT 1),
    f.norm,
    f.components_inter_eye_distance_value, f.components_crop_left_value,
    f.components_crop_right_value, f.components_cut_off_value,
    f.components_under_exposure_value, f.components_over_exposure_value,
    f.components_dynamic_range_value, f.components_luminance_mean_value,
    f.components_luminance_variance_value, f.components_illumination_uniformity_value,
    f.components_natural_colour_value, f.components_single_face_value, f.components_yaw_value,
    f.components_pitch_value, f.components_roll_value, f.components_sharpness_value
FROM json_each(?1) k
CROSS JOIN faces f ON f.result_id = k.value ->> 0
ORDER BY k.key, f.face_index
