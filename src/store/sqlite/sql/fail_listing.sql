UPDATE campaigns SET listing_error = ?2 WHERE id = ?1 AND listing_done = 0
