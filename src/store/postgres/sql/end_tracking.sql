-- What is new is new since this listing, if it found what there was. One of a new folder alone says
-- nothing of the others.
UPDATE tracked_listings o SET new_after = NULL
FROM tracked_listings t
WHERE t.campaign_id = $1
    AND o.gallery_id = t.gallery_id
    AND (t.last_image_id = 0
        OR EXISTS (SELECT FROM found_images f WHERE f.campaign_id = t.campaign_id))
