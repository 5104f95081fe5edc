-- As reference_stamps.sql, from the references whose state changed lately.
SELECT
    f.result_id, f.face_index,
    floor(extract(epoch FROM r.recorded_at) * 1000000)::bigint AS recorded, s.name AS subject
FROM subject_references sr
JOIN subjects s ON s.id = sr.subject_id
JOIN results r ON r.image_id = sr.image_id AND r.gallery_profile_id = $1
JOIN faces f ON f.result_id = r.id AND f.face_index = 0 AND f.score IS NOT NULL
WHERE sr.since >= now() - make_interval(secs => $2) AND sr.set_aside IS NULL
