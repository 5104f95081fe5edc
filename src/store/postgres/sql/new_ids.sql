SELECT
    ARRAY(SELECT nextval('images_id_seq') FROM generate_series(1, $1::bigint)) AS images,
    ARRAY(SELECT nextval('results_id_seq') FROM generate_series(1, $2::bigint)) AS results
