UPDATE results SET superseded = ?2
WHERE id IN (SELECT value FROM json_each(?1))
