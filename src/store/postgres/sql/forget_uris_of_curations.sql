-- The verdicts stay, without their reason.
UPDATE curations SET reason = NULL
WHERE gallery_id = (SELECT g.id FROM galleries g WHERE g.name = $1)
    AND EXISTS (SELECT FROM unnest($2::text[]) k (uri) WHERE strpos(reason, k.uri) > 0)
