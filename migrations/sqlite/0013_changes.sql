-- Who asks for what has to be reviewed, or what changed lately, need not read everything.
CREATE INDEX enrolments_to_review ON enrolments (image_id) WHERE decision = 'review';
CREATE INDEX subject_references_since ON subject_references (since_ms);
