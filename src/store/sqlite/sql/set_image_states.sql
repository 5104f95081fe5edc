-- ?1: arrays of an image, whether it is left out, the subject that a verdict gives it, and whether it
-- is gone.
UPDATE images
SET excluded = k.value ->> 1, verdict_subject = k.value ->> 2, gone = k.value ->> 3
FROM json_each(?1) k
WHERE images.id = k.value ->> 0
