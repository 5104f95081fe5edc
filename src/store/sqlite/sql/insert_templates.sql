INSERT INTO templates (face_id, dimension, vector)
{rows}
