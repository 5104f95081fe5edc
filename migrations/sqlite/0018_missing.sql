-- Images that are gone from their source: a complete listing of it did not bring them.

-- A listing that notes what it finds: an image that was recorded after it began has a higher id.
CREATE TABLE tracked_listings (
    campaign_id   BLOB    NOT NULL PRIMARY KEY REFERENCES campaigns (id) ON DELETE CASCADE,
    gallery_id    INTEGER NOT NULL,
    last_image_id INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- The images that it found, until it ends.
CREATE TABLE found_images (
    campaign_id BLOB    NOT NULL REFERENCES tracked_listings (campaign_id) ON DELETE CASCADE,
    image_id    INTEGER NOT NULL,
    PRIMARY KEY (campaign_id, image_id)
) STRICT, WITHOUT ROWID;

-- The images that are missing: which campaign listed their place, and when.
CREATE TABLE missing_images (
    image_id    INTEGER NOT NULL PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    campaign_id BLOB    NOT NULL,
    since_ms    INTEGER NOT NULL
) STRICT;

-- Whether a verdict says that the image is gone. "excluded" is 1 then, too.
ALTER TABLE images ADD COLUMN gone INTEGER NOT NULL DEFAULT 0 CHECK (gone IN (0, 1));

-- To find the new place of an image that was moved.
CREATE INDEX images_by_content ON images (content_hash) WHERE content_hash <> x'';
