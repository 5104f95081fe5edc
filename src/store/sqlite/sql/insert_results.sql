INSERT INTO results (
    id, image_id, gallery_profile_id, outcome, reason, selection, stamp, provider,
    fetch_ms, vision_ms, recognise_ms, attempt, job_id, recorded_at_ms, superseded, noted,
    expected_hash
)
{rows}
ON CONFLICT (id) DO UPDATE SET
    superseded = excluded.superseded,
    noted = excluded.noted,
    outcome = excluded.outcome,
    reason = excluded.reason,
    selection = excluded.selection,
    stamp = excluded.stamp,
    provider = excluded.provider,
    fetch_ms = excluded.fetch_ms,
    vision_ms = excluded.vision_ms,
    recognise_ms = excluded.recognise_ms,
    attempt = excluded.attempt,
    job_id = excluded.job_id,
    recorded_at_ms = excluded.recorded_at_ms,
    expected_hash = excluded.expected_hash
