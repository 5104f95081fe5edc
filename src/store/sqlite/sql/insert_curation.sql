INSERT INTO curations (gallery_id, decided_by, reason, decided_at_ms)
SELECT id, ?2, ?3, ?4 FROM galleries WHERE name = ?1
RETURNING id
