-- Whether the store has something of the image at a URI (with the text that names it for people), of
-- a subject, or, if both are null, of a gallery.
SELECT EXISTS (
    SELECT 1 FROM galleries g
    WHERE g.name = ?1 AND (
        ?2 IS NULL AND ?4 IS NULL
        OR EXISTS (SELECT 1 FROM images i WHERE i.gallery_id = g.id AND i.uri = ?2)
        OR EXISTS (SELECT 1 FROM subjects s WHERE s.gallery_id = g.id AND s.name = ?4)
        OR EXISTS (SELECT 1 FROM images i WHERE i.gallery_id = g.id AND i.subject = ?4)
        OR EXISTS (
            SELECT 1 FROM curations c
            JOIN verdicts v ON v.curation_id = c.id
            WHERE c.gallery_id = g.id AND v.subject = ?4
        )
    )
) OR EXISTS (
    SELECT 1 FROM campaigns c
    WHERE c.gallery = ?1 AND (
        ?2 IN (c.chunk_from, c.chunk_to)
        OR instr(c.source, ?2) > 0 OR instr(c.source, ?3) > 0
    )
) OR EXISTS (
    SELECT 1 FROM source_troubles t WHERE instr(t.reason, ?2) > 0 OR instr(t.reason, ?3) > 0
)
