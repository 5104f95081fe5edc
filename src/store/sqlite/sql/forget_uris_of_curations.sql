-- The verdicts stay, without their reason.
UPDATE curations SET reason = NULL
WHERE gallery_id = (SELECT g.id FROM galleries g WHERE g.name = ?1)
    AND EXISTS (SELECT 1 FROM json_each(?2) k WHERE instr(reason, k.value) > 0)
