-- With them goes what listings found. Others of the gallery, which still go on, are those of
-- campaigns that did not end.
DELETE FROM tracked_listings t
USING tracked_listings o, campaigns c
WHERE o.campaign_id = $1
    AND t.gallery_id = o.gallery_id
    AND c.id = t.campaign_id
    AND (c.id = $1 OR c.listing_done OR c.state = 'cancelled')
