-- Images that are gone from their source: a complete listing of it did not bring them.

-- A listing that notes what it finds: an image that was recorded after it began has a higher id.
CREATE TABLE tracked_listings (
    campaign_id   uuid   PRIMARY KEY REFERENCES campaigns (id) ON DELETE CASCADE,
    gallery_id    bigint NOT NULL,
    last_image_id bigint NOT NULL
);

-- The images that it found, until it ends.
CREATE TABLE found_images (
    campaign_id uuid   NOT NULL REFERENCES tracked_listings (campaign_id) ON DELETE CASCADE,
    image_id    bigint NOT NULL,
    PRIMARY KEY (campaign_id, image_id)
);

-- The images that are missing: which campaign listed their place, and when.
CREATE TABLE missing_images (
    image_id    bigint      PRIMARY KEY REFERENCES images (id) ON DELETE CASCADE,
    campaign_id uuid        NOT NULL,
    since       timestamptz NOT NULL DEFAULT now()
);

-- Whether a verdict says that the image is gone. "excluded" is true then, too.
ALTER TABLE images ADD COLUMN gone boolean NOT NULL DEFAULT false;

-- To find the new place of an image that was moved.
CREATE INDEX images_by_content ON images (content_hash) WHERE content_hash <> '';

-- Whoever may read images may read these, and whoever may add galleries may list them.
DO $$
DECLARE
    held record;
BEGIN
    FOR held IN
        SELECT a.grantee::regrole AS role, a.privilege_type AS privilege FROM pg_class c, aclexplode(c.relacl) a
        WHERE c.oid = 'galleries'::regclass AND a.privilege_type IN ('SELECT', 'INSERT') AND a.grantee NOT IN (0, c.relowner)
    LOOP
        EXECUTE format('GRANT %s ON tracked_listings, found_images, missing_images TO %s', held.privilege, held.role);
        IF held.privilege = 'INSERT' THEN
            EXECUTE format('GRANT DELETE ON tracked_listings, found_images TO %s', held.role);
            EXECUTE format('GRANT UPDATE, DELETE ON missing_images TO %s', held.role);
        END IF;
    END LOOP;
END
$$;
