-- What facefleet found, for other programs, with the names of exports (docs/recipes.md): these two
-- views keep their columns when the tables change.

-- A row for each image and profile: its current result.
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
    i.id AS image_id, i.subject,
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
WHERE r.superseded = 0;

-- A row for each face of these results. "landmarks": x and y of the right eye, the left eye, the
-- nose, the right and the left corner of the mouth, little-endian 32-bit floats. "template":
-- little-endian 16-bit floats.
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
    f.detector_score, f.distance, f.score, f.quality, f.norm, t.vector AS template
FROM faces f
JOIN gallery_profiles gp ON gp.id = f.gallery_profile_id
JOIN galleries g ON g.id = gp.gallery_id
JOIN results r ON r.id = f.result_id
JOIN images i ON i.id = r.image_id
LEFT JOIN templates t ON t.face_id = f.id
WHERE f.superseded = 0;
