SELECT
    name,
    CASE WHEN seen < now() - $1 * interval '1 ms' THEN NULL ELSE reason END AS trouble,
    floor(extract(epoch FROM since) * 1000)::bigint AS since_ms
FROM source_troubles
ORDER BY name
