-- The URIs that are one of these, a question mark and a query. The index has a hash of the first
-- part.
SELECT DISTINCT s.uri
FROM galleries g
CROSS JOIN unnest($1::text[]) k (uri)
JOIN sources s
    ON s.gallery_id = g.id
    AND strpos(s.uri, '?') > 0
    AND hashtextextended(split_part(s.uri, '?', 1), 0) = hashtextextended(k.uri, 0)
    AND split_part(s.uri, '?', 1) = k.uri
LIMIT $2
