-- As page_ids_filtered.sql, but from the few images to their results.
SELECT r.id
FROM gallery_profiles gp
JOIN images i ON i.gallery_id = gp.gallery_id AND i.uri_key = ANY ($8::uuid[])
JOIN results r ON r.image_id = i.id AND r.gallery_profile_id = gp.id
WHERE gp.id = $1 AND NOT r.superseded AND NOT i.excluded AND r.outcome = ANY ($2::text[]) AND r.id > $3
    AND ($5::bigint IS NULL OR r.recorded_at >= to_timestamp($5 / 1000.0::float8))
    AND ($6::smallint IS NULL OR (
        SELECT bool_or(f.quality BETWEEN $6 AND $7::smallint)
        FROM faces f
        WHERE f.result_id = r.id
    ))
ORDER BY r.id
LIMIT $4
