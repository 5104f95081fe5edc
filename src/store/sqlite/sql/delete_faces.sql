DELETE FROM faces
WHERE result_id IN (SELECT value FROM json_each(?1))
