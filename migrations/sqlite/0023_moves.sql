-- Which images are new since a missing one was last known to be there: only such an image can be the
-- new place of one that was moved. Images with higher ids than "new_after" are new.

-- That of the first listing since the last complete one; null: since this listing began. "failed":
-- something could not be listed, so nothing can be said to be missing.
ALTER TABLE tracked_listings ADD COLUMN new_after INTEGER;
ALTER TABLE tracked_listings ADD COLUMN failed INTEGER NOT NULL DEFAULT 0 CHECK (failed IN (0, 1));

-- 0: nobody knows.
ALTER TABLE missing_images ADD COLUMN new_after INTEGER NOT NULL DEFAULT 0;
