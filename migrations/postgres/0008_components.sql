-- The components of each face (domain::Components): native values, null where they cannot be known,
-- all null for faces that were recorded before.
ALTER TABLE faces
    ADD COLUMN components_inter_eye_distance_value real,
    ADD COLUMN components_crop_left_value real,
    ADD COLUMN components_crop_right_value real,
    ADD COLUMN components_cut_off_value real,
    ADD COLUMN components_under_exposure_value real,
    ADD COLUMN components_over_exposure_value real,
    ADD COLUMN components_dynamic_range_value real,
    ADD COLUMN components_luminance_mean_value real,
    ADD COLUMN components_luminance_variance_value real,
    ADD COLUMN components_illumination_uniformity_value real,
    ADD COLUMN components_natural_colour_value real,
    ADD COLUMN components_single_face_value real,
    ADD COLUMN components_yaw_value real,
    ADD COLUMN components_pitch_value real,
    ADD COLUMN components_roll_value real,
    ADD COLUMN components_sharpness_value real;

-- A row for each face of the results of facefleet_images. The new columns come last, so that the
-- view is replaced and keeps what was granted on it. "landmarks": x and y of the right eye, the left
-- eye, the nose, the right and the left corner of the mouth, little-endian 32-bit floats.
CREATE OR REPLACE VIEW facefleet_faces AS
SELECT
    g.name AS gallery,
    CASE
        WHEN s.uri LIKE 'data:%' THEN 'data:,'
        ELSE regexp_replace(regexp_replace(s.uri, '[?#].*$', ''), '^([^:/]+://)[^/@]*@', '\1')
    END AS uri,
    i.id AS image_id, i.subject, gp.profile_id AS profile, f.face_index AS face,
    i.id || '-' || f.face_index AS face_id,
    f.x AS box_x, f.y AS box_y, f.width AS box_width, f.height AS box_height, f.landmarks,
    f.detector_score, f.distance, f.score, f.quality, f.norm, t.vector AS template,
    f.components_inter_eye_distance_value, f.components_crop_left_value,
    f.components_crop_right_value, f.components_cut_off_value,
    f.components_under_exposure_value, f.components_over_exposure_value,
    f.components_dynamic_range_value, f.components_luminance_mean_value,
    f.components_luminance_variance_value, f.components_illumination_uniformity_value,
    f.components_natural_colour_value, f.components_single_face_value, f.components_yaw_value,
    f.components_pitch_value, f.components_roll_value, f.components_sharpness_value
FROM faces f
JOIN gallery_profiles gp ON gp.id = f.gallery_profile_id
JOIN galleries g ON g.id = gp.gallery_id
JOIN results r ON r.id = f.result_id
JOIN images i ON i.id = r.image_id
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
LEFT JOIN templates t
    ON t.profile_id = gp.profile_id AND t.result_id = f.result_id
    AND t.face_index = f.face_index
WHERE NOT f.superseded;
