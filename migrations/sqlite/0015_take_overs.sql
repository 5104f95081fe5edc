-- How often in a row a run was taken over from a process that did not hand it over.
ALTER TABLE schedule_runs ADD COLUMN take_overs INTEGER NOT NULL DEFAULT 0;
