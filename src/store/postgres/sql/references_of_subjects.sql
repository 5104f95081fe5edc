-- $2: the gallery with the profile $3 whose templates are wanted, those of active references alone.
SELECT
    sr.subject_id, sr.image_id, sr.set_aside, i.content_hash, f.quality, t.vector AS template
FROM subject_references sr
JOIN images i ON i.id = sr.image_id
LEFT JOIN results r ON r.image_id = sr.image_id AND r.gallery_profile_id = $2
LEFT JOIN faces f ON f.result_id = r.id AND f.face_index = 0
LEFT JOIN templates t
    ON t.profile_id = $3 AND t.result_id = r.id AND t.face_index = 0
    AND sr.set_aside IS NULL
WHERE sr.subject_id = ANY ($1::bigint[])
ORDER BY sr.subject_id, sr.image_id
