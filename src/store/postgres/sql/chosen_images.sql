SELECT i.id, s.uri, i.content_hash, i.subject
FROM erased_images x
JOIN images i ON i.id = x.id
JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
ORDER BY i.id
