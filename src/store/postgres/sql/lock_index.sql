SELECT pg_try_advisory_lock(hashtextextended('facefleet.index ' || current_schema(), 0))
