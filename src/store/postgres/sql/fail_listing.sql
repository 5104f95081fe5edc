UPDATE campaigns SET listing_error = $2 WHERE id = $1 AND NOT listing_done
