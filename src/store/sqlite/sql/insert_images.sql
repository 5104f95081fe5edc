INSERT INTO images (id, gallery_id, uri, content_hash, bytes, width, height, subject)
{rows}
ON CONFLICT (id) DO UPDATE SET
    bytes = coalesce(excluded.bytes, bytes),
    width = coalesce(excluded.width, width),
    height = coalesce(excluded.height, height),
    subject = coalesce(excluded.subject, subject)
