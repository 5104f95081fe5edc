-- The oldest first. A condition whose value is null is none. Times are microseconds.
SELECT
    floor(extract(epoch FROM e.decided_at) * 1000000)::bigint AS at_us, g.name AS gallery,
    e.subject_id, s.name AS subject, e.image_id, e.decision, e.reasons::text AS reasons, e.job_id,
    e.profile_id
FROM enrolments e
JOIN subjects s ON s.id = e.subject_id
JOIN galleries g ON g.id = s.gallery_id
WHERE (e.decided_at, e.subject_id, e.image_id)
        > (timestamptz 'epoch' + $2 * interval '1 microsecond', $3::bigint, $4::bigint)
    AND ($5::bigint IS NULL OR e.decided_at < timestamptz 'epoch' + $5 * interval '1 microsecond')
    AND ($1::text IS NULL OR g.name = $1)
ORDER BY e.decided_at, e.subject_id, e.image_id
LIMIT $6
