SELECT
    p.id AS profile_id,
    format('DROP INDEX CONCURRENTLY %I', 'templates_' || p.id || '_hnsw') AS drop_index,
    i.indisvalid AS valid
FROM profiles p
LEFT JOIN pg_index i
    ON i.indexrelid = to_regclass(format('%I', 'templates_' || p.id || '_hnsw'))
WHERE to_regclass(format('%I', 'templates_' || p.id)) IS NOT NULL
ORDER BY p.id
