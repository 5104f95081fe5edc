-- Drops the partition for the templates of a profile that no gallery has results of, and says
-- whether it did. For the owner, who keeps those that record out meanwhile (src/store/postgres).
CREATE FUNCTION drop_unused_templates(old_id text) RETURNS boolean LANGUAGE plpgsql AS $$
BEGIN
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
