-- Curation: what people decided about images.

-- A command that decides, or an undo: who, when and why. Rows are only ever added.
CREATE TABLE curations (
    id            bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    gallery_id    bigint      NOT NULL REFERENCES galleries (id),
    decided_by    text        NOT NULL,
    reason        text,
    decided_at    timestamptz NOT NULL DEFAULT now()
);

-- "verdict" is a domain::Verdict: "subject" is whose image it is, "other_image_id" whom it is not
-- the same as, "undoes" the verdict that an undo takes back. A subject that is renamed is renamed
-- here; one that is removed or erased is removed.
CREATE TABLE verdicts (
    id             bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    curation_id    bigint NOT NULL REFERENCES curations (id),
    image_id       bigint NOT NULL REFERENCES images (id) ON DELETE CASCADE,
    verdict        text   NOT NULL,
    subject        text,
    other_image_id bigint REFERENCES images (id) ON DELETE CASCADE,
    undoes         bigint UNIQUE REFERENCES verdicts (id) ON DELETE CASCADE
);
CREATE INDEX verdicts_by_image ON verdicts (image_id);
CREATE INDEX verdicts_by_other_image ON verdicts (other_image_id) WHERE other_image_id IS NOT NULL;
CREATE INDEX verdicts_by_curation ON verdicts (curation_id);
CREATE INDEX curations_by_gallery ON curations (gallery_id);

-- What follows from the verdicts of an image: whether it is left out of searches, references,
-- reports and exports, and the subject that a verdict gave it, in the place of the one that jobs
-- named.
ALTER TABLE images ADD COLUMN excluded boolean NOT NULL DEFAULT false;
ALTER TABLE images ADD COLUMN verdict_subject text;
CREATE INDEX images_excluded ON images (id) WHERE excluded;
CREATE INDEX images_by_verdict ON images (verdict_subject) WHERE verdict_subject IS NOT NULL;

-- The results of these images. It reads the tables with its owner's rights.
CREATE VIEW excluded_results AS
SELECT r.id, r.gallery_profile_id
FROM images i
JOIN results r ON r.image_id = i.id
WHERE i.excluded;

-- As before, without excluded images, and with the subjects of verdicts.
CREATE OR REPLACE VIEW facefleet_images AS
SELECT
    g.name AS gallery,
    -- Without user, password, query and fragment.
    CASE
        WHEN s.uri LIKE 'data:%' THEN 'data:,'
        ELSE regexp_replace(regexp_replace(s.uri, '[?#].*$', ''), '^([^:/]+://)[^/@]*@', '\1')
    END AS uri,
    i.id AS image_id, coalesce(i.verdict_subject, i.subject) AS subject, encode(nullif(i.content_hash, ''), 'hex') AS content_hash,
    i.bytes, i.width, i.height, r.outcome, r.reason, gp.profile_id AS profile, r.provider,
    r.fetch_ms AS timings_fetch_ms, r.vision_ms AS timings_vision_ms,
    r.recognise_ms AS timings_recognise_ms,
    date_trunc('milliseconds', r.recorded_at) AS recorded_at,
    n.outcome AS noted_outcome, n.reason AS noted_reason,
    date_trunc('milliseconds', n.recorded_at) AS noted_at,
    (SELECT count(*) FROM faces f WHERE f.result_id = r.id) AS face_count
FROM results r
JOIN gallery_profiles gp ON gp.id = r.gallery_profile_id
JOIN galleries g ON g.id = gp.gallery_id
JOIN images i ON i.id = r.image_id
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
LEFT JOIN images ni
    ON ni.gallery_id = i.gallery_id AND ni.uri_key = i.uri_key AND ni.content_hash = ''
LEFT JOIN results n
    ON n.image_id = ni.id AND n.gallery_profile_id = r.gallery_profile_id AND n.noted
WHERE NOT r.superseded AND NOT i.excluded;

CREATE OR REPLACE VIEW facefleet_faces AS
SELECT
    g.name AS gallery,
    CASE
        WHEN s.uri LIKE 'data:%' THEN 'data:,'
        ELSE regexp_replace(regexp_replace(s.uri, '[?#].*$', ''), '^([^:/]+://)[^/@]*@', '\1')
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
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
LEFT JOIN templates t
    ON t.profile_id = gp.profile_id AND t.result_id = f.result_id
    AND t.face_index = f.face_index
WHERE NOT f.superseded AND NOT i.excluded;

-- Whoever may read images may read these. Operators use the role that may add galleries: it may add
-- verdicts, rename their subjects, and remove the verdicts about a subject with it.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role, a.privilege_type AS privilege FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'galleries'::regclass AND a.privilege_type IN ('SELECT', 'INSERT') AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT %s ON curations, verdicts TO %s', held.privilege, held.role);
        IF held.privilege = 'INSERT' THEN
            EXECUTE format('GRANT UPDATE (subject), DELETE ON verdicts TO %s', held.role);
        END IF;
        IF held.privilege = 'SELECT' THEN
            EXECUTE format('GRANT SELECT ON excluded_results TO %s', held.role);
        END IF;
    END LOOP;
END
$$;
