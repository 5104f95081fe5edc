-- Images that are missing and not gone, each with an image of the same bytes in another place: one
-- that came since it was last known to be there, and of which nothing is known that would be lost; or
-- any other one.
SELECT q.*, s.uri AS moved_to_uri
FROM (
    SELECT m.image_id, s.uri, m.campaign_id, (extract(epoch FROM m.since) * 1000)::bigint AS since_ms, (
        SELECT min(y.id)
        FROM images y
        WHERE y.content_hash = i.content_hash
            AND y.content_hash <> ''
            AND y.gallery_id = i.gallery_id
            AND y.id <> i.id
            AND (y.id > m.new_after OR EXISTS (
                -- It was gone, and came back since.
                SELECT
                FROM verdicts v
                JOIN curations c ON c.id = v.curation_id
                JOIN campaigns a ON a.id = m.campaign_id
                WHERE v.image_id = y.id AND v.verdict = 'found' AND c.decided_at >= a.started_at
            ))
            AND NOT y.excluded
            AND y.verdict_subject IS NULL
            AND (y.subject IS NULL OR y.subject = i.subject)
            AND ($2::text[] IS NULL OR EXISTS (
                SELECT FROM sources o, unnest($2::text[], $3::text[]) k (itself, below)
                WHERE o.gallery_id = y.gallery_id AND o.uri_key = y.uri_key
                    AND (o.uri = k.itself OR starts_with(o.uri, k.below))
            ))
            AND EXISTS (SELECT FROM results r WHERE r.image_id = y.id AND NOT r.superseded)
            AND NOT EXISTS (SELECT FROM missing_images o WHERE o.image_id = y.id)
            AND NOT EXISTS (SELECT FROM subject_references o WHERE o.image_id = y.id)
            AND NOT EXISTS (SELECT FROM enrolments o WHERE o.image_id = y.id)
            AND NOT EXISTS (
                SELECT FROM verdicts v
                WHERE v.image_id = y.id
                    AND v.verdict NOT IN ('gone', 'moved', 'found', 'undo')
                    AND NOT EXISTS (SELECT FROM verdicts u WHERE u.undoes = v.id)
            )
    ) AS moved_to, (
        SELECT min(y.id)
        FROM images y
        WHERE y.content_hash = i.content_hash
            AND y.content_hash <> ''
            AND y.gallery_id = i.gallery_id
            AND y.id <> i.id
            AND NOT y.excluded
            AND EXISTS (SELECT FROM results r WHERE r.image_id = y.id AND NOT r.superseded)
            AND NOT EXISTS (SELECT FROM missing_images o WHERE o.image_id = y.id)
    ) AS copied_to
    FROM galleries g
    JOIN images i ON i.gallery_id = g.id AND NOT i.gone
    JOIN missing_images m ON m.image_id = i.id AND m.image_id > $4
    JOIN sources s ON s.gallery_id = i.gallery_id AND s.uri_key = i.uri_key
    WHERE g.name = $1
        AND ($2::text[] IS NULL OR EXISTS (
            SELECT FROM unnest($2::text[], $3::text[]) k (itself, below)
            WHERE s.uri = k.itself OR starts_with(s.uri, k.below)
        ))
    ORDER BY m.image_id
    LIMIT $5
) q
LEFT JOIN images p ON p.id = q.moved_to
LEFT JOIN sources s ON s.gallery_id = p.gallery_id AND s.uri_key = p.uri_key
ORDER BY q.image_id
