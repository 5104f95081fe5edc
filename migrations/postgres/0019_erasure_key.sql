-- Every store has its key from now on, not from its first erasure on: a dump that is restored knows
-- what receipts of later erasures are about. A key that is there stays.
INSERT INTO erasure_key (id, secret)
VALUES (1, sha256(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())))
ON CONFLICT DO NOTHING;
