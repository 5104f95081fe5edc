SELECT
    s.id, s.name, floor(extract(epoch FROM s.created_at) * 1000)::bigint AS created_at_ms,
    (SELECT count(*) FROM subject_references r WHERE r.subject_id = s.id AND r.set_aside IS NULL)
        AS active,
    (SELECT count(*) FROM subject_references r
     WHERE r.subject_id = s.id AND r.set_aside IS NOT NULL) AS set_aside,
    (SELECT count(*) FROM enrolments e WHERE e.subject_id = s.id AND e.decision = 'accepted')
        AS accepted,
    (SELECT count(*) FROM enrolments e WHERE e.subject_id = s.id AND e.decision = 'review')
        AS review,
    (SELECT count(*) FROM enrolments e WHERE e.subject_id = s.id AND e.decision = 'rejected')
        AS rejected
FROM galleries g
JOIN subjects s ON s.gallery_id = g.id
WHERE g.name = $1 AND s.name = $2
