INSERT INTO verdicts (curation_id, image_id, verdict, subject, other_image_id, undoes)
{rows}
