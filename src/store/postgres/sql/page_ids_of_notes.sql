SELECT id
FROM results
WHERE gallery_profile_id = $1 AND noted AND outcome = ANY ($2::text[]) AND id > $3
    AND ($5::bigint IS NULL OR recorded_at >= to_timestamp($5 / 1000.0::float8))
ORDER BY id
LIMIT $4
