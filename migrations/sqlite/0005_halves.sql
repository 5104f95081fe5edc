-- Templates are 16-bit floats, as in Postgres. SQL cannot convert them: facefleet copies the rows
-- of "templates_float32" in the transaction of this migration, and then drops that table
-- (src/store/sqlite/convert.rs).
ALTER TABLE templates RENAME TO templates_float32;

-- Apart from faces: counting and sorting faces reads no templates.
CREATE TABLE templates (
    face_id   INTEGER NOT NULL PRIMARY KEY REFERENCES faces (id) ON DELETE CASCADE,
    dimension INTEGER NOT NULL CHECK (dimension > 0),
    -- Little-endian 16-bit floats.
    vector    BLOB    NOT NULL CHECK (length(vector) = 2 * dimension)
) STRICT;

-- Faces are counted with their outcome, as in Postgres. Only scored images have faces.
ALTER TABLE campaign_outcomes ADD COLUMN faces INTEGER NOT NULL DEFAULT 0;
UPDATE campaign_outcomes
SET faces = (SELECT c.faces FROM campaigns c WHERE c.id = campaign_outcomes.campaign_id)
WHERE outcome = 'scored';
ALTER TABLE campaigns DROP COLUMN faces;
