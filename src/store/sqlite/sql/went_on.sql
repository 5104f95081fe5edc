-- A run whose listing goes on is not one that ends each process that is at it.
UPDATE schedule_runs INDEXED BY schedule_runs_running SET take_overs = 0
WHERE state = 'running' AND owner = ?1 AND take_overs > 0
