SELECT
    r.id AS result_id, i.id AS image_id, i.uri, i.content_hash, i.bytes, i.width, i.height, i.picture_hash,
    coalesce(i.verdict_subject, i.subject) AS subject, r.expected_hash, r.outcome, r.reason, r.provider, r.fetch_ms, r.vision_ms, r.recognise_ms,
    r.recorded_at_ms,
    n.outcome AS noted_outcome, n.reason AS noted_reason, n.recorded_at_ms AS noted_at_ms,
    es.name AS enrolled_subject, e.decision, e.reasons
FROM json_each(?1) k
CROSS JOIN results r ON r.id = k.value
CROSS JOIN images i ON i.id = r.image_id
-- Where there are no notes, a key of null looks nothing up.
LEFT JOIN images ni
    ON ni.gallery_id = iif(
        (SELECT EXISTS (SELECT 1 FROM results WHERE noted = 1)), i.gallery_id, NULL)
    AND ni.uri = i.uri AND ni.content_hash = x''
LEFT JOIN results n
    ON n.image_id = ni.id AND n.gallery_profile_id = r.gallery_profile_id AND n.noted = 1
-- The latest enrolment of the image.
LEFT JOIN enrolments e
    ON e.image_id = i.id AND e.subject_id = (
        SELECT subject_id FROM enrolments WHERE image_id = i.id
        ORDER BY decided_at_ms DESC, subject_id DESC LIMIT 1)
LEFT JOIN subjects es ON es.id = e.subject_id
