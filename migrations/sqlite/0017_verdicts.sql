-- Curation: what people decided about images.

-- A command that decides, or an undo: who, when and why. Rows are only ever added.
CREATE TABLE curations (
    id            INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    gallery_id    INTEGER NOT NULL REFERENCES galleries (id),
    decided_by    TEXT    NOT NULL,
    reason        TEXT,
    decided_at_ms INTEGER NOT NULL
) STRICT;

-- "verdict" is a domain::Verdict: "subject" is whose image it is, "other_image_id" whom it is not
-- the same as, "undoes" the verdict that an undo takes back. A subject that is renamed is renamed
-- here; one that is removed or erased is removed.
CREATE TABLE verdicts (
    id             INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
    curation_id    INTEGER NOT NULL REFERENCES curations (id),
    image_id       INTEGER NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    verdict        TEXT    NOT NULL,
    subject        TEXT,
    other_image_id INTEGER REFERENCES images (id) ON DELETE CASCADE,
    undoes         INTEGER UNIQUE REFERENCES verdicts (id) ON DELETE CASCADE
) STRICT;
CREATE INDEX verdicts_by_image ON verdicts (image_id);
CREATE INDEX verdicts_by_other_image ON verdicts (other_image_id) WHERE other_image_id IS NOT NULL;
CREATE INDEX verdicts_by_curation ON verdicts (curation_id);
CREATE INDEX curations_by_gallery ON curations (gallery_id);

-- What follows from the verdicts of an image: whether it is left out of searches, references,
-- reports and exports, and the subject that a verdict gave it, in the place of the one that jobs
-- named.
ALTER TABLE images ADD COLUMN excluded INTEGER NOT NULL DEFAULT 0 CHECK (excluded IN (0, 1));
ALTER TABLE images ADD COLUMN verdict_subject TEXT;
CREATE INDEX images_excluded ON images (id) WHERE excluded = 1;
CREATE INDEX images_by_verdict ON images (verdict_subject) WHERE verdict_subject IS NOT NULL;

-- The results of these images.
CREATE VIEW excluded_results AS
SELECT r.id, r.gallery_profile_id
FROM images i
JOIN results r ON r.image_id = i.id
WHERE i.excluded = 1;

-- As before, without excluded images, and with the subjects of verdicts.
DROP VIEW facefleet_images;
CREATE VIEW facefleet_images AS
SELECT
    g.name AS gallery,
    -- Without user, password, query and fragment.
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
    i.id AS image_id, coalesce(i.verdict_subject, i.subject) AS subject,
    CASE WHEN i.content_hash = x'' THEN NULL ELSE lower(hex(i.content_hash)) END AS content_hash,
    i.bytes, i.width, i.height, r.outcome, r.reason, gp.profile_id AS profile, r.provider,
    r.fetch_ms AS timings_fetch_ms, r.vision_ms AS timings_vision_ms,
    r.recognise_ms AS timings_recognise_ms,
    strftime('%Y-%m-%dT%H:%M:%fZ', r.recorded_at_ms / 1000.0, 'unixepoch') AS recorded_at,
    n.outcome AS noted_outcome, n.reason AS noted_reason,
    strftime('%Y-%m-%dT%H:%M:%fZ', n.recorded_at_ms / 1000.0, 'unixepoch') AS noted_at,
    (SELECT count(*) FROM faces f WHERE f.result_id = r.id) AS face_count
FROM results r
JOIN gallery_profiles gp ON gp.id = r.gallery_profile_id
JOIN galleries g ON g.id = gp.gallery_id
JOIN images i ON i.id = r.image_id
LEFT JOIN images ni
    ON ni.gallery_id = i.gallery_id AND ni.uri = i.uri AND ni.content_hash = x''
LEFT JOIN results n
    ON n.image_id = ni.id AND n.gallery_profile_id = r.gallery_profile_id AND n.noted = 1
WHERE r.superseded = 0 AND i.excluded = 0;

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
    i.id AS image_id, coalesce(i.verdict_subject, i.subject) AS subject, gp.profile_id AS profile, f.face_index AS face,
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
WHERE f.superseded = 0 AND i.excluded = 0;
