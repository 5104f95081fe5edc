INSERT INTO faces (
    id, result_id, face_index, gallery_profile_id, x, y, width, height, landmarks,
    detector_score, distance, score, quality, norm,
    components_inter_eye_distance_value, components_crop_left_value,
    components_crop_right_value, components_cut_off_value, components_under_exposure_value,
    components_over_exposure_value, components_dynamic_range_value,
    components_luminance_mean_value, components_luminance_variance_value,
    components_illumination_uniformity_value, components_natural_colour_value,
    components_single_face_value, components_yaw_value, components_pitch_value,
    components_roll_value, components_sharpness_value
)
{rows}
