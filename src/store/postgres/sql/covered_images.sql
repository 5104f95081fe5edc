SELECT count(*) AS images, count(own.id) AS covered
FROM results r
JOIN images i ON i.id = r.image_id AND i.content_hash <> '' AND NOT i.gone
LEFT JOIN results own
    ON own.image_id = r.image_id AND own.gallery_profile_id = $2 AND NOT own.superseded
    AND own.outcome = ANY ($3::text[])
WHERE r.gallery_profile_id = $1 AND NOT r.superseded AND r.outcome = ANY ($3::text[])
