-- A hash of what a listing says of a removed image goes with the hash of the image: whatever brings
-- the image back deletes both.
ALTER TABLE removed_images ADD COLUMN version BLOB CHECK (length(version) = 32);

CREATE INDEX removed_images_by_version ON removed_images (version) WHERE version IS NOT NULL;
