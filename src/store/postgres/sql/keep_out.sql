SELECT pg_advisory_xact_lock(hashtextextended('facefleet.erasures ' || current_schema(), 0))
