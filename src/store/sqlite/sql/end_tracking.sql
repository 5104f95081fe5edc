-- What is new is new since this listing, if it found what there was. One of a new folder alone says
-- nothing of the others.
UPDATE tracked_listings SET new_after = NULL
WHERE gallery_id = (
    SELECT t.gallery_id
    FROM tracked_listings t
    WHERE t.campaign_id = ?1
        AND (t.last_image_id = 0
            OR EXISTS (SELECT 1 FROM found_images f WHERE f.campaign_id = t.campaign_id))
)
