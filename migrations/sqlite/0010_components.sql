-- The components of each face (domain::Components): native values, null where they cannot be known,
-- all null for faces that were recorded before.
ALTER TABLE faces ADD COLUMN components_inter_eye_distance_value REAL;
ALTER TABLE faces ADD COLUMN components_crop_left_value REAL;
ALTER TABLE faces ADD COLUMN components_crop_right_value REAL;
ALTER TABLE faces ADD COLUMN components_cut_off_value REAL;
ALTER TABLE faces ADD COLUMN components_under_exposure_value REAL;
ALTER TABLE faces ADD COLUMN components_over_exposure_value REAL;
ALTER TABLE faces ADD COLUMN components_dynamic_range_value REAL;
ALTER TABLE faces ADD COLUMN components_luminance_mean_value REAL;
ALTER TABLE faces ADD COLUMN components_luminance_variance_value REAL;
ALTER TABLE faces ADD COLUMN components_illumination_uniformity_value REAL;
ALTER TABLE faces ADD COLUMN components_natural_colour_value REAL;
ALTER TABLE faces ADD COLUMN components_single_face_value REAL;
ALTER TABLE faces ADD COLUMN components_yaw_value REAL;
ALTER TABLE faces ADD COLUMN components_pitch_value REAL;
ALTER TABLE faces ADD COLUMN components_roll_value REAL;
ALTER TABLE faces ADD COLUMN components_sharpness_value REAL;

-- A row for each face of the results of facefleet_images. "landmarks": x and y of the right eye, the
-- left eye, the nose, the right and the left corner of the mouth, little-endian 32-bit floats.
-- "template": little-endian 16-bit floats.
DROP VIEW facefleet_faces;
CREATE VIEW facefleet_faces AS
SELECT
    g.name AS gallery,
    CASE
        WHEN i.uri LIKE 'data:%' THEN 'data:,'
        WHEN instr(i.uri, '://') = 0
            THEN substr(i.uri, 1, min(instr(i.uri || '?', '?'), instr(i.uri || '#', '#')) - 1)
        ELSE substr(i.uri, 1, instr(i.uri, '://') + 2) || substr(
            substr(i.uri, 1, min(instr(i.uri || '?', '?'), instr(i.uri || '#', '#')) - 1),
            instr(i.uri, '://') + 3 + instr(
                substr(
                    substr(i.uri, instr(i.uri, '://') + 3), 1,
                    instr(substr(i.uri, instr(i.uri, '://') + 3) || '/', '/') - 1),
                '@'))
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
LEFT JOIN templates t ON t.face_id = f.id
WHERE f.superseded = 0;
