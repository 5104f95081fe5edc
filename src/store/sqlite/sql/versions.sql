-- CROSS JOIN fixes the order: from the few keys to the big tables.
SELECT
    k.key AS item, i.id AS image_id, i.content_hash,
    r.id AS result_id, r.gallery_profile_id, r.superseded, r.noted, r.outcome, r.selection,
    r.stamp, r.job_id, i.gone OR EXISTS (SELECT 1 FROM missing_images m WHERE m.image_id = i.id) AS missing
FROM json_each(?1) k
CROSS JOIN images i ON i.gallery_id = k.value ->> 0 AND i.uri = k.value ->> 1
LEFT JOIN results r ON r.image_id = i.id
