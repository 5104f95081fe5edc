-- ?1: arrays of a subject and an image. Those that a verdict excludes, or gives to another subject.
SELECT s.id, i.id
FROM json_each(?1) k
CROSS JOIN images i ON i.id = k.value ->> 1
CROSS JOIN subjects s ON s.id = k.value ->> 0
WHERE i.excluded = 1 OR i.verdict_subject <> s.name
