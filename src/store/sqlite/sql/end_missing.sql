DELETE FROM missing_images WHERE image_id IN (SELECT value FROM json_each(?1))
