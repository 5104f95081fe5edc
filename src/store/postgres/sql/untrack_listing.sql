-- With it goes what the listing found.
DELETE FROM tracked_listings t
USING campaigns c
WHERE c.id = t.campaign_id
    AND (c.id = $1 OR c.listing_done OR c.state = 'cancelled')
