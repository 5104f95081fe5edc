-- The content hash that the job of a result expected: null if it expected none.
ALTER TABLE results ADD COLUMN expected_hash bytea CHECK (octet_length(expected_hash) = 32);

-- Notes in the order of pages.
DROP INDEX results_noted;
CREATE INDEX results_noted ON results (gallery_profile_id, id) INCLUDE (outcome) WHERE noted;

-- The few URIs with a query, by the form without it, in which they are shown.
CREATE INDEX sources_with_query ON sources (gallery_id, hashtextextended(split_part(uri, '?', 1), 0))
WHERE strpos(uri, '?') > 0;
