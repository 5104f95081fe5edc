-- With them goes what listings found. Others of the gallery, which still go on, are those of
-- campaigns that did not end.
DELETE FROM tracked_listings
WHERE gallery_id = (SELECT t.gallery_id FROM tracked_listings t WHERE t.campaign_id = ?1)
    AND (campaign_id = ?1 OR campaign_id IN (
        SELECT c.id FROM campaigns c WHERE c.listing_done = 1 OR c.state = 'cancelled'
    ))
