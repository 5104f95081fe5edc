-- Of an image that both enrolled, the decision of the new subject stays.
UPDATE OR IGNORE enrolments SET subject_id = ?2 WHERE subject_id = ?1
