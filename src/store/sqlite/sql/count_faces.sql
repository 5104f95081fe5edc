-- Reads every face of a gallery: an index must hold all columns.
SELECT quality, count(*) AS faces
FROM faces
WHERE gallery_profile_id = ?1 AND superseded = 0
GROUP BY quality
