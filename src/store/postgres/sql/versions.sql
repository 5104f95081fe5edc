SELECT
    k.ordinal - 1 AS item, i.id AS image_id, i.content_hash,
    r.id AS result_id, r.gallery_profile_id, r.superseded, r.noted, r.outcome, r.selection,
    r.stamp, r.job_id, i.gone OR EXISTS (SELECT FROM missing_images m WHERE m.image_id = i.id) AS missing
FROM unnest($1::bigint[], $2::uuid[]) WITH ORDINALITY k (gallery_id, uri_key, ordinal)
JOIN images i ON i.gallery_id = k.gallery_id AND i.uri_key = k.uri_key
LEFT JOIN results r ON r.image_id = i.id
