-- Which campaigns may have jobs that wait at a place of their own, and which sources of images did not answer.

-- Over, and its place on the queue removed: workers need not look at it any more. Those that were over before are.
ALTER TABLE campaigns ADD COLUMN closed INTEGER NOT NULL DEFAULT 0 CHECK (closed IN (0, 1));
UPDATE campaigns SET closed = 1 WHERE state = 'cancelled' OR (listing_done = 1 AND listed <= skipped +
    (SELECT coalesce(sum(jobs), 0) FROM campaign_outcomes WHERE campaign_id = campaigns.id));
CREATE INDEX campaigns_open ON campaigns (id) WHERE closed = 0;

-- Sources that workers had trouble with. "reason" is null once a worker found it well again; what no worker has seen for a while is
-- taken to be over.
CREATE TABLE source_troubles (
    name     TEXT    NOT NULL PRIMARY KEY,
    reason   TEXT,
    since_ms INTEGER NOT NULL,
    seen_ms  INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
