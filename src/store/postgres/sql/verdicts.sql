-- The latest first. A condition whose value is null is none.
SELECT
    v.id, v.curation_id, v.image_id, s.uri AS uri, v.verdict, v.subject, v.other_image_id, v.undoes,
    c.decided_by, c.reason, floor(extract(epoch FROM c.decided_at) * 1000)::bigint AS decided_at_ms,
    (SELECT u.id FROM verdicts u WHERE u.undoes = v.id) AS undone_by
FROM galleries g
JOIN curations c ON c.gallery_id = g.id
JOIN verdicts v ON v.curation_id = c.id
JOIN images i ON i.id = v.image_id
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
WHERE g.name = $1
    AND ($2::bigint IS NULL OR v.id < $2)
    AND ($3::bigint IS NULL OR v.image_id = $3 OR v.other_image_id = $3)
    AND ($4::bigint IS NULL OR v.curation_id = $4)
ORDER BY v.id DESC
LIMIT $5
