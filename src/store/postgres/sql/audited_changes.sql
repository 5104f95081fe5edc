-- The oldest first. A condition whose value is null is none. Times are microseconds.
SELECT
    floor(extract(epoch FROM c.changed_at) * 1000000)::bigint AS at_us, c.id, g.name AS gallery,
    c.changed_by, c.change, s.name AS subject, c.image_id
FROM subject_changes c
JOIN galleries g ON g.id = c.gallery_id
LEFT JOIN subjects s ON s.id = c.subject_id
WHERE (c.changed_at, c.id) > (timestamptz 'epoch' + $2 * interval '1 microsecond', $3::bigint)
    AND ($4::bigint IS NULL OR c.changed_at < timestamptz 'epoch' + $4 * interval '1 microsecond')
    AND ($1::text IS NULL OR g.name = $1)
ORDER BY c.changed_at, c.id
LIMIT $5
