-- What facefleet found, for other programs, with the names of exports (docs/recipes.md): these two
-- views keep their columns when the tables change. They read the tables with their owner's rights:
-- docs/postgres.md grants the columns.

-- A row for each image and profile: its current result.
CREATE VIEW facefleet_images AS
SELECT
    g.name AS gallery,
    -- Without user, password, query and fragment.
    CASE
        WHEN s.uri LIKE 'data:%' THEN 'data:,'
        ELSE regexp_replace(regexp_replace(s.uri, '[?#].*$', ''), '^([^:/]+://)[^/@]*@', '\1')
    END AS uri,
    i.id AS image_id, i.subject, encode(nullif(i.content_hash, ''), 'hex') AS content_hash,
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
WHERE NOT r.superseded;

-- A row for each face of these results. "landmarks": x and y of the right eye, the left eye, the
-- nose, the right and the left corner of the mouth, little-endian 32-bit floats.
CREATE VIEW facefleet_faces AS
SELECT
    g.name AS gallery,
    CASE
        WHEN s.uri LIKE 'data:%' THEN 'data:,'
        ELSE regexp_replace(regexp_replace(s.uri, '[?#].*$', ''), '^([^:/]+://)[^/@]*@', '\1')
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
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
LEFT JOIN templates t
    ON t.profile_id = gp.profile_id AND t.result_id = f.result_id
    AND t.face_index = f.face_index
WHERE NOT f.superseded;
