-- An open one has its verdicts in the transaction that made it.
DELETE FROM curations
WHERE gallery_id = ?1
    AND NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.curation_id = curations.id)
