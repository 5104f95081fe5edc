-- Faces and templates go with them.
DELETE FROM results WHERE id IN (SELECT value FROM json_each(?1))
