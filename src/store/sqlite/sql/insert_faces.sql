INSERT INTO faces (
    id, result_id, face_index, gallery_profile_id, x, y, width, height, landmarks,
    detector_score, distance, score, quality, norm
)
{rows}
