-- From the results in their order: faces and templates were written in the same order.
SELECT f.result_id, f.face_index, t.vector AS template
FROM results r
CROSS JOIN faces f ON f.result_id = r.id
CROSS JOIN templates t ON t.face_id = f.id
WHERE r.gallery_profile_id = ?1 AND r.superseded = 0 AND r.outcome = 'scored'
    AND r.id NOT IN (SELECT id FROM excluded_results WHERE gallery_profile_id = ?1)
