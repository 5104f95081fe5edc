UPDATE source_troubles SET reason = 'a job failed'
WHERE EXISTS (SELECT 1 FROM json_each(?1) k WHERE instr(reason, k.value) > 0)
