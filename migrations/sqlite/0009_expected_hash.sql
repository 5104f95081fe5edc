-- The content hash that the job of a result expected: null if it expected none.
ALTER TABLE results ADD COLUMN expected_hash BLOB CHECK (length(expected_hash) = 32);
