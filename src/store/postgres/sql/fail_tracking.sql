WITH failed AS (
    UPDATE tracked_listings SET failed = true WHERE campaign_id = $1 RETURNING campaign_id
)
DELETE FROM found_images f USING failed t WHERE f.campaign_id = t.campaign_id
