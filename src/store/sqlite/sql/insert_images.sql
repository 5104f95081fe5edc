INSERT INTO images (id, gallery_id, uri, content_hash, bytes, width, height, picture_hash, subject)
{rows}
ON CONFLICT (id) DO UPDATE SET
    bytes = coalesce(excluded.bytes, bytes),
    width = coalesce(excluded.width, width),
    height = coalesce(excluded.height, height),
    picture_hash = coalesce(excluded.picture_hash, picture_hash),
    subject = coalesce(excluded.subject, subject)
