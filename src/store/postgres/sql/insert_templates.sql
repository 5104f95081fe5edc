INSERT INTO templates (profile_id, result_id, face_index, vector)
SELECT k.profile_id, k.result_id, k.face_index, k.vector
FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::halfvec[])
    k (profile_id, result_id, face_index, vector)
