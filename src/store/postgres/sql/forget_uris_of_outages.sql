UPDATE source_troubles SET reason = 'a job failed'
WHERE EXISTS (SELECT FROM unnest($1::text[]) k (uri) WHERE strpos(reason, k.uri) > 0)
