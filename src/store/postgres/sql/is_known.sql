-- Whether the store has something of the image at a URI (by its key, with the URI and the text that
-- names it for people), of a subject, or, if all are null, of a gallery.
SELECT EXISTS (
    SELECT FROM galleries g
    WHERE g.name = $1 AND (
        $2::uuid IS NULL AND $5::text IS NULL
        OR EXISTS (SELECT FROM images i WHERE i.gallery_id = g.id AND i.uri_key = $2)
        OR EXISTS (SELECT FROM subjects s WHERE s.gallery_id = g.id AND s.name = $5)
        OR EXISTS (SELECT FROM images i WHERE i.gallery_id = g.id AND i.subject = $5)
        OR EXISTS (
            SELECT FROM curations c
            JOIN verdicts v ON v.curation_id = c.id
            WHERE c.gallery_id = g.id AND v.subject = $5
        )
    )
) OR EXISTS (
    SELECT FROM campaigns c
    WHERE c.gallery = $1 AND (
        $3::text IN (c.chunk_from, c.chunk_to)
        OR strpos(c.source, $3) > 0 OR strpos(c.source, $4::text) > 0
    )
) OR EXISTS (
    SELECT FROM source_troubles t WHERE strpos(t.reason, $3) > 0 OR strpos(t.reason, $4) > 0
)
