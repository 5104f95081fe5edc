SELECT
    r.id AS result_id, i.id AS image_id, s.uri, i.content_hash, i.bytes, i.width, i.height, i.picture_hash,
    coalesce(i.verdict_subject, i.subject) AS subject, r.expected_hash, r.outcome, r.reason, r.provider, r.fetch_ms, r.vision_ms, r.recognise_ms,
    floor(extract(epoch FROM r.recorded_at) * 1000)::bigint AS recorded_at_ms,
    n.outcome AS noted_outcome, n.reason AS noted_reason,
    floor(extract(epoch FROM n.recorded_at) * 1000)::bigint AS noted_at_ms,
    e.enrolled_subject, e.decision, e.reasons
FROM unnest($1::bigint[]) k (id)
JOIN results r ON r.id = k.id
JOIN images i ON i.id = r.image_id
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
-- Where there are no notes, nothing is looked up.
LEFT JOIN images ni
    ON (SELECT EXISTS (SELECT FROM results WHERE noted))
    AND ni.gallery_id = i.gallery_id AND ni.uri_key = i.uri_key AND ni.content_hash = ''
LEFT JOIN results n
    ON n.image_id = ni.id AND n.gallery_profile_id = r.gallery_profile_id AND n.noted
-- The latest enrolment of the image.
LEFT JOIN LATERAL (
    SELECT su.name AS enrolled_subject, en.decision, en.reasons::text AS reasons
    FROM enrolments en
    JOIN subjects su ON su.id = en.subject_id
    WHERE en.image_id = i.id
    ORDER BY en.decided_at DESC, en.subject_id DESC
    LIMIT 1
) e ON true
