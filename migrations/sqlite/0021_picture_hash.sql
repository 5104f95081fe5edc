-- What a picture shows (domain::PictureHash), to find the same picture twice; NULL if the image was
-- recorded before this column was there, or not decoded.
ALTER TABLE images ADD COLUMN picture_hash BLOB CHECK (length(picture_hash) = 32);
