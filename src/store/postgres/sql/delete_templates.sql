DELETE FROM templates
WHERE profile_id = ANY ($2::text[]) AND result_id = ANY ($1::bigint[])
