SELECT
    e.image_id, src.uri, s.name AS subject, e.job_id, e.profile_id, e.decision,
    e.reasons::text AS reasons,
    floor(extract(epoch FROM e.decided_at) * 1000)::bigint AS decided_at_ms
FROM enrolments e
JOIN subjects s ON s.id = e.subject_id
JOIN galleries g ON g.id = s.gallery_id
JOIN images i ON i.id = e.image_id
JOIN sources src ON src.gallery_id = i.gallery_id AND src.uri_key = i.uri_key
WHERE g.name = $1 AND e.decision = 'review' AND e.image_id >= $2 AND (e.image_id, s.name) > ($2, $3)
ORDER BY e.image_id, s.name
LIMIT $4
