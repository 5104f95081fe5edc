-- The next verdicts that decide nothing any more: those that were undone, and those that later
-- verdicts in force overrule. The one and the other are old, too. An undo comes with what it undid.
SELECT v.id, u.id AS undone_by
FROM curations c
JOIN verdicts v ON v.curation_id = c.id AND v.undoes IS NULL
LEFT JOIN verdicts u ON u.undoes = v.id
LEFT JOIN curations uc ON uc.id = u.curation_id
WHERE c.gallery_id = $1 AND v.id > $3 AND c.decided_at < to_timestamp($2 / 1000.0::float8)
    AND (
        uc.decided_at < to_timestamp($2 / 1000.0::float8)
        OR (u.id IS NULL AND EXISTS (
            SELECT 1
            FROM verdicts w
            JOIN curations wc ON wc.id = w.curation_id
            WHERE w.image_id = v.image_id AND w.id > v.id
                AND wc.decided_at < to_timestamp($2 / 1000.0::float8)
                AND NOT EXISTS (SELECT 1 FROM verdicts x WHERE x.undoes = w.id)
                AND (
                    (v.verdict IN ('exclude', 'restore', 'keep')
                        AND w.verdict IN ('exclude', 'restore'))
                    OR (v.verdict IN ('keep', 'reassign') AND w.verdict = v.verdict)
                    OR (v.verdict = 'gone' AND w.verdict IN ('gone', 'moved', 'found'))
                    OR (v.verdict = 'not_the_same' AND w.verdict = v.verdict
                        AND w.other_image_id = v.other_image_id)
                )
        ))
        -- It goes with what it overruled, which comes before it. What was moved may be undone.
        OR (u.id IS NULL AND v.verdict = 'found' AND NOT EXISTS (
            SELECT 1
            FROM verdicts w
            JOIN curations wc ON wc.id = w.curation_id
            WHERE w.image_id = v.image_id AND w.id < v.id
                AND (w.verdict = 'moved' OR (w.verdict = 'gone' AND wc.decided_at >= to_timestamp($2 / 1000.0::float8)))
                AND NOT EXISTS (SELECT 1 FROM verdicts x WHERE x.undoes = w.id)
        ))
    )
ORDER BY v.id
LIMIT $4
