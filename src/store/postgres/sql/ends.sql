SELECT
    r.id AS result_id, r.outcome, r.reason,
    (SELECT count(*) FROM faces f WHERE f.result_id = r.id) AS faces,
    (SELECT f.quality FROM faces f WHERE f.result_id = r.id AND f.face_index = 0) AS quality
FROM results r
WHERE r.id = ANY ($1::bigint[])
