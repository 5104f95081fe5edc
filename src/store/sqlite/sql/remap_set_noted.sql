UPDATE results SET noted = 1
WHERE id IN (SELECT value FROM json_each(?1))
