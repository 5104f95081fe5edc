INSERT INTO templates (profile_id, result_id, face_index, vector)
SELECT $4, k.target_id, t.face_index, t.vector
FROM unnest($1::bigint[], $2::bigint[]) k (source_id, target_id)
JOIN templates t ON t.profile_id = $3 AND t.result_id = k.source_id
