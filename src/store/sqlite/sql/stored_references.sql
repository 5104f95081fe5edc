SELECT sr.image_id, i.uri, sr.set_aside, sr.since_ms
FROM subject_references sr
CROSS JOIN images i ON i.id = sr.image_id
WHERE sr.subject_id = ?1
ORDER BY sr.set_aside IS NOT NULL, sr.image_id
