-- The tables and indexes of the schema, what is stored apart from their rows, and the samples of
-- values that ANALYZE takes.
WITH own AS (
    SELECT c.oid, c.reltoastrelid
    FROM pg_class c
    WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'i', 'm')
        OR c.oid = 'pg_catalog.pg_statistic'::regclass
)
SELECT
    r.oid::regclass::text AS place, pg_relation_filepath(r.oid) AS path,
    pg_relation_size(r.oid) AS bytes, (
        SELECT k.relkind = 'i' FROM pg_class k WHERE k.oid = r.oid
    ) AS is_index
FROM (
    SELECT o.oid FROM own o
    UNION
    SELECT o.reltoastrelid FROM own o WHERE o.reltoastrelid <> 0
) r
ORDER BY 1
