INSERT INTO verdicts (curation_id, image_id, verdict, subject, other_image_id, undoes)
SELECT $1, k.image_id, k.verdict, k.subject, k.other_image_id, k.undoes
FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::bigint[])
    WITH ORDINALITY k (image_id, verdict, subject, other_image_id, undoes, ordinal)
ORDER BY k.ordinal
