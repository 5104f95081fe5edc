-- Drops the partition for the templates of a profile that no gallery has results of, and says
-- whether it did. For the owner. Whoever records first under a profile in a gallery adds a row to
-- "gallery_profiles" before any template: with the lock, none comes between the look and the drop.
CREATE FUNCTION drop_unused_templates(old_id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
    LOCK TABLE gallery_profiles IN SHARE ROW EXCLUSIVE MODE;
    IF EXISTS (SELECT FROM gallery_profiles WHERE profile_id = old_id)
        OR to_regclass(format('%I', 'templates_' || old_id)) IS NULL
    THEN
        RETURN false;
    END IF;
    EXECUTE format('ALTER TABLE templates DETACH PARTITION %I', 'templates_' || old_id);
    EXECUTE format('DROP TABLE %I', 'templates_' || old_id);
    RETURN true;
END
$$;
REVOKE ALL ON FUNCTION drop_unused_templates(text) FROM PUBLIC;
