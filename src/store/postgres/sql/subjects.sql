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
        AS rejected,
    (SELECT count(*) FROM subject_references r
     WHERE r.subject_id = s.id AND r.set_aside IS NULL AND NOT EXISTS (
         SELECT
         FROM results t
         JOIN faces f ON f.result_id = t.id AND f.face_index = 0 AND f.score IS NOT NULL
         WHERE t.image_id = r.image_id AND t.gallery_profile_id = (
             SELECT a.gallery_profile_id FROM facefleet_active_profiles a WHERE a.gallery = $1
         )
     )) AS without_template
FROM galleries g
JOIN subjects s ON s.gallery_id = g.id
WHERE g.name = $1 AND s.name > $2
ORDER BY s.name
LIMIT $3
