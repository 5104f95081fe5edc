SELECT
    e.image_id, src.uri, s.name AS subject, e.job_id, e.profile_id, e.decision,
    e.reasons::text AS reasons,
    floor(extract(epoch FROM e.decided_at) * 1000)::bigint AS decided_at_ms
FROM subjects s
JOIN enrolments e ON e.subject_id = s.id
JOIN images i ON i.id = e.image_id
JOIN sources src ON src.gallery_id = i.gallery_id AND src.uri_key = i.uri_key
WHERE s.id = $1
ORDER BY e.decided_at DESC, e.image_id DESC
