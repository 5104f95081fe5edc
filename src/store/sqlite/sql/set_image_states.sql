-- ?1: arrays of an image, whether it is excluded, and the subject that a verdict gives it.
UPDATE images
SET excluded = k.value ->> 1, verdict_subject = k.value ->> 2
FROM json_each(?1) k
WHERE images.id = k.value ->> 0
