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
    k.result_id, k.face_index, k.gallery_profile_id, k.x, k.y, k.width, k.height, k.landmarks,
    k.detector_score, k.distance, k.score, k.quality, k.norm,
    k.components_inter_eye_distance_value, k.components_crop_left_value,
    k.components_crop_right_value, k.components_cut_off_value,
    k.components_under_exposure_value, k.components_over_exposure_value,
    k.components_dynamic_range_value, k.components_luminance_mean_value,
    k.components_luminance_variance_value, k.components_illumination_uniformity_value,
    k.components_natural_colour_value, k.components_single_face_value, k.components_yaw_value,
    k.components_pitch_value, k.components_roll_value, k.components_sharpness_value
FROM unnest(
    $1::bigint[], $2::integer[], $3::bigint[], $4::real[], $5::real[], $6::real[], $7::real[],
    $8::bytea[], $9::real[], $10::double precision[], $11::double precision[], $12::smallint[],
    $13::real[],
    $14::real[], $15::real[], $16::real[], $17::real[], $18::real[], $19::real[], $20::real[],
    $21::real[], $22::real[], $23::real[], $24::real[], $25::real[], $26::real[], $27::real[],
    $28::real[], $29::real[]
) k (
    result_id, face_index, gallery_profile_id, x, y, width, height,
    landmarks, detector_score, distance, score, quality, norm,
    components_inter_eye_distance_value, components_crop_left_value,
    components_crop_right_value, components_cut_off_value, components_under_exposure_value,
    components_over_exposure_value, components_dynamic_range_value,
    components_luminance_mean_value, components_luminance_variance_value,
    components_illumination_uniformity_value, components_natural_colour_value,
    components_single_face_value, components_yaw_value, components_pitch_value,
    components_roll_value, components_sharpness_value
)
