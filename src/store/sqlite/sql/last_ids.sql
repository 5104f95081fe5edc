SELECT
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'images'), 0) AS image_id,
    coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'results'), 0) AS result_id
