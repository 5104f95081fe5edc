-- The URIs that are one of these, a question mark and a query: a range of the index for each. The
-- next character is @.
SELECT DISTINCT i.uri
FROM galleries g
CROSS JOIN json_each(?1) k
CROSS JOIN images i
    ON i.gallery_id = g.id AND i.uri >= k.value || '?' AND i.uri < k.value || '@'
LIMIT ?2
