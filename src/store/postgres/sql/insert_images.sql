INSERT INTO images AS i (
    id, gallery_id, uri_key, content_hash, bytes, width, height, subject
)
SELECT k.id, k.gallery_id, k.uri_key, k.content_hash, k.bytes, k.width, k.height, k.subject
FROM unnest(
    $1::bigint[], $2::bigint[], $3::uuid[], $4::bytea[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::text[]
) k (id, gallery_id, uri_key, content_hash, bytes, width, height, subject)
ON CONFLICT (id) DO UPDATE SET
    bytes = coalesce(excluded.bytes, i.bytes),
    width = coalesce(excluded.width, i.width),
    height = coalesce(excluded.height, i.height),
    subject = coalesce(excluded.subject, i.subject)
WHERE (excluded.bytes, excluded.width, excluded.height, excluded.subject)
    IS DISTINCT FROM (i.bytes, i.width, i.height, i.subject)
