-- Every store has its key from now on, not from its first erasure on: a copy of the store that is put
-- back knows what receipts of later erasures are about. A key that is there stays.
INSERT OR IGNORE INTO erasure_key (id, secret) VALUES (1, randomblob(32));
