-- The references are few: they are collected once, and compared without an index, so exactly.
WITH reference AS MATERIALIZED (
    SELECT s.name AS subject, sr.image_id, t.vector
    FROM galleries g
    JOIN gallery_profiles gp ON gp.gallery_id = g.id AND gp.profile_id = $2
    JOIN subjects s ON s.gallery_id = g.id
    JOIN subject_references sr ON sr.subject_id = s.id AND sr.set_aside IS NULL
    JOIN results r ON r.image_id = sr.image_id AND r.gallery_profile_id = gp.id
    JOIN templates t ON t.profile_id = $2 AND t.result_id = r.id AND t.face_index = 0
    WHERE g.name = $1
)
SELECT k.ordinal - 1 AS place, nearest.image_id, nearest.similarity
FROM unnest($3::text[], $4::halfvec[]) WITH ORDINALITY k (subject, vector, ordinal)
CROSS JOIN LATERAL (
    -- Of unit vectors, the inner product is the cosine. The operator gives its negative.
    SELECT c.image_id, -(c.vector <#> k.vector) AS similarity
    FROM reference c
    WHERE c.subject <> k.subject
    ORDER BY c.vector <#> k.vector, c.image_id
    LIMIT 1
) nearest
