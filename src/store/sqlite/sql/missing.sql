-- Images that are missing and not gone, each with an image of the same bytes in another place: one
-- that came since it was last known to be there, and of which nothing is known that would be lost; or
-- any other one.
SELECT q.*, p.uri AS moved_to_uri
FROM (
    SELECT m.image_id, i.uri, m.campaign_id, m.since_ms, (
        SELECT min(y.id)
        FROM images y
        WHERE y.content_hash = i.content_hash
            AND y.content_hash <> x''
            AND y.gallery_id = i.gallery_id
            AND y.id <> i.id
            AND (y.id > m.new_after OR EXISTS (
                -- It was gone, and came back since.
                SELECT 1
                FROM verdicts v
                JOIN curations c ON c.id = v.curation_id
                JOIN campaigns a ON a.id = m.campaign_id
                WHERE v.image_id = y.id AND v.verdict = 'found'
                    AND c.decided_at_ms >= a.started_at_ms
            ))
            AND y.excluded = 0
            AND y.verdict_subject IS NULL
            AND (y.subject IS NULL OR y.subject = i.subject)
            AND (?2 IS NULL OR EXISTS (
                SELECT 1 FROM json_each(?2) k
                WHERE y.uri = k.value ->> 0 OR (y.uri >= k.value ->> 1 AND y.uri < k.value ->> 2)
            ))
            AND EXISTS (SELECT 1 FROM results r WHERE r.image_id = y.id AND r.superseded = 0)
            AND NOT EXISTS (SELECT 1 FROM missing_images o WHERE o.image_id = y.id)
            AND NOT EXISTS (SELECT 1 FROM subject_references o WHERE o.image_id = y.id)
            AND NOT EXISTS (SELECT 1 FROM enrolments o WHERE o.image_id = y.id)
            AND NOT EXISTS (
                SELECT 1 FROM verdicts v
                WHERE v.image_id = y.id
                    AND v.verdict NOT IN ('gone', 'moved', 'found', 'undo')
                    AND NOT EXISTS (SELECT 1 FROM verdicts u WHERE u.undoes = v.id)
            )
    ) AS moved_to, (
        SELECT min(y.id)
        FROM images y
        WHERE y.content_hash = i.content_hash
            AND y.content_hash <> x''
            AND y.gallery_id = i.gallery_id
            AND y.id <> i.id
            AND y.excluded = 0
            AND EXISTS (SELECT 1 FROM results r WHERE r.image_id = y.id AND r.superseded = 0)
            AND NOT EXISTS (SELECT 1 FROM missing_images o WHERE o.image_id = y.id)
    ) AS copied_to
    FROM galleries g
    CROSS JOIN missing_images m ON m.image_id > ?3
    CROSS JOIN images i ON i.id = m.image_id AND i.gallery_id = g.id AND i.gone = 0
    WHERE g.name = ?1
        AND (?2 IS NULL OR EXISTS (
            SELECT 1 FROM json_each(?2) k
            WHERE i.uri = k.value ->> 0 OR (i.uri >= k.value ->> 1 AND i.uri < k.value ->> 2)
        ))
    ORDER BY m.image_id
    LIMIT ?4
) q
LEFT JOIN images p ON p.id = q.moved_to
ORDER BY q.image_id
