-- What is accepted stays so.
UPDATE enrolments SET decision = $3, decided_at = now()
WHERE subject_id = $1 AND image_id = $2 AND decision <> $3 AND decision <> 'accepted'
