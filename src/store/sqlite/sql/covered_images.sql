SELECT count(*) AS images, count(own.id) AS covered
FROM json_each(?3) k
CROSS JOIN results r
    ON r.gallery_profile_id = ?1 AND r.outcome = k.value AND r.superseded = 0
CROSS JOIN images i ON i.id = r.image_id AND i.content_hash <> x'' AND i.gone = 0
LEFT JOIN results own
    ON own.image_id = r.image_id AND own.gallery_profile_id = ?2 AND own.superseded = 0
    AND own.outcome IN (SELECT value FROM json_each(?3))
