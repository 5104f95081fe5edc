-- The oldest first. A condition whose value is null is none. Times are microseconds.
SELECT
    floor(extract(epoch FROM c.decided_at) * 1000000)::bigint AS at_us, g.name AS gallery,
    c.decided_by, c.id AS curation_id, v.id, v.image_id, v.verdict, v.subject, v.other_image_id,
    v.undoes, (SELECT u.id FROM verdicts u WHERE u.undoes = v.id) AS undone_by
FROM curations c
JOIN verdicts v ON v.curation_id = c.id
JOIN galleries g ON g.id = c.gallery_id
WHERE (c.decided_at, c.id, v.id)
        > (timestamptz 'epoch' + $2 * interval '1 microsecond', $3::bigint, $4::bigint)
    AND c.decided_at >= timestamptz 'epoch' + $2 * interval '1 microsecond'
    AND ($5::bigint IS NULL OR c.decided_at < timestamptz 'epoch' + $5 * interval '1 microsecond')
    AND ($1::text IS NULL OR g.name = $1)
ORDER BY c.decided_at, c.id, v.id
LIMIT $6
