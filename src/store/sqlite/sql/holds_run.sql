SELECT EXISTS (
    SELECT 1
    FROM schedule_runs INDEXED BY schedule_runs_running
    WHERE state = 'running' AND owner = ?1
)
