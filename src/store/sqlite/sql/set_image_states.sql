-- ?1: arrays of an image, whether it is excluded, whether its subject changes, and the new one.
UPDATE images
SET excluded = k.value ->> 1,
    verdict_subject = iif(k.value ->> 2, k.value ->> 3, verdict_subject)
FROM json_each(?1) k
WHERE images.id = k.value ->> 0
