SELECT DISTINCT i.uri
FROM galleries g
CROSS JOIN json_each(?2) k
CROSS JOIN images i ON i.gallery_id = g.id AND i.uri = k.value
WHERE g.name = ?1
