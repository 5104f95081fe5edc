UPDATE faces SET superseded = ?2
WHERE result_id IN (SELECT value FROM json_each(?1))
