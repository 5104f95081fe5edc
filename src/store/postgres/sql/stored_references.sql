SELECT
    sr.image_id, src.uri, sr.set_aside,
    floor(extract(epoch FROM sr.since) * 1000)::bigint AS since_ms
FROM subject_references sr
JOIN images i ON i.id = sr.image_id
JOIN sources src ON src.gallery_id = i.gallery_id AND src.uri_key = i.uri_key
WHERE sr.subject_id = $1
ORDER BY sr.set_aside IS NOT NULL, sr.image_id
