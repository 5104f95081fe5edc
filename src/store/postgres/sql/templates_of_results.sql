SELECT t.result_id, t.face_index, t.vector AS template
FROM unnest($1::bigint[]) k (id)
JOIN templates t ON t.profile_id = $2 AND t.result_id = k.id
