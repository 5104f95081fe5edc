SELECT name, iif(seen_ms < ?1, NULL, reason) AS trouble, since_ms
FROM source_troubles
ORDER BY name
