INSERT INTO curations (gallery_id, decided_by, reason)
SELECT id, $2, $3 FROM galleries WHERE name = $1
RETURNING id
