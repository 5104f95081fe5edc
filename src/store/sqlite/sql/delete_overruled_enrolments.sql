-- Of an image that both enrolled, an acceptance overrules another decision.
DELETE FROM enrolments
WHERE subject_id = ?2 AND decision <> 'accepted'
    AND image_id IN (
        SELECT o.image_id FROM enrolments o WHERE o.subject_id = ?1 AND o.decision = 'accepted'
    )
