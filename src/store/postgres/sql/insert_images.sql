INSERT INTO images AS i (
    id, gallery_id, uri_key, content_hash, bytes, width, height, picture_hash, subject
)
SELECT k.id, k.gallery_id, k.uri_key, k.content_hash, k.bytes, k.width, k.height,
    k.picture_hash, k.subject
FROM unnest(
    $1::bigint[], $2::bigint[], $3::uuid[], $4::bytea[], $5::bigint[], $6::bigint[],
    $7::bigint[], $8::bytea[], $9::text[]
) k (id, gallery_id, uri_key, content_hash, bytes, width, height, picture_hash, subject)
ON CONFLICT (id) DO UPDATE SET
    bytes = coalesce(excluded.bytes, i.bytes),
    width = coalesce(excluded.width, i.width),
    height = coalesce(excluded.height, i.height),
    picture_hash = coalesce(excluded.picture_hash, i.picture_hash),
    subject = coalesce(excluded.subject, i.subject)
WHERE (excluded.bytes, excluded.width, excluded.height, excluded.picture_hash, excluded.subject)
    IS DISTINCT FROM (i.bytes, i.width, i.height, i.picture_hash, i.subject)
