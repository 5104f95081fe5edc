-- With it goes what the listing found.
DELETE FROM tracked_listings
WHERE campaign_id = ?1
    OR campaign_id IN (
        SELECT c.id FROM campaigns c WHERE c.listing_done = 1 OR c.state = 'cancelled'
    )
