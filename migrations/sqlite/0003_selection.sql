-- Which faces a campaign's jobs ask for, as results name it ("all/24/0.6"). Null: it began before that was kept.
ALTER TABLE campaigns ADD COLUMN selection TEXT;

-- The outcome that a job is counted under, so that it counts under the new one when it ends again. Null: it was skipped, or counted
-- before that was kept.
ALTER TABLE campaign_jobs ADD COLUMN outcome TEXT;

-- A result without bytes that stands beside the current result of the same gallery, URI and profile, whose bytes came: the latest
-- attempt to read the image got none. It is "superseded" too.
ALTER TABLE results ADD COLUMN noted INTEGER NOT NULL DEFAULT 0 CHECK (noted IN (0, 1));
CREATE INDEX results_noted ON results (gallery_profile_id, noted) WHERE noted = 1;
