-- The statement that creates the index. Nothing if the profile has no templates.
SELECT format(
    'CREATE INDEX CONCURRENTLY %I ON %I USING hnsw ((vector::halfvec(%s)) halfvec_ip_ops)',
    'templates_' || $1 || '_hnsw', 'templates_' || $1, vector_dims(vector)
)
FROM templates
WHERE profile_id = $1
LIMIT 1
