-- Images that are to change places have the same bytes: other hashes for the time being, since a URI
-- with a hash is there once.
UPDATE images SET content_hash = unhex(printf('%064x', id))
WHERE id IN (SELECT value ->> 0 FROM json_each(?1) UNION SELECT value ->> 1 FROM json_each(?1))
