SELECT
    f.result_id, f.face_index,
    floor(extract(epoch FROM r.recorded_at) * 1000000)::bigint AS recorded, NULL::text AS subject
FROM results r
JOIN faces f ON f.result_id = r.id AND f.score IS NOT NULL
WHERE r.id = ANY($2) AND r.gallery_profile_id = $1 AND NOT r.superseded AND r.outcome = 'scored'
    AND r.id NOT IN (SELECT id FROM excluded_results WHERE gallery_profile_id = $1)
