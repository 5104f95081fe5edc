SELECT pg_advisory_xact_lock_shared(
    hashtextextended('facefleet.erasures ' || current_schema(), 0))
