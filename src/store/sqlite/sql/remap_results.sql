INSERT INTO results (
    id, image_id, gallery_profile_id, superseded, noted, outcome, reason, selection, stamp,
    provider, fetch_ms, vision_ms, recognise_ms, attempt, job_id, recorded_at_ms,
    expected_hash
)
SELECT
    k.value ->> 1, s.image_id, ?2, s.superseded, s.noted, s.outcome, s.reason, s.selection,
    s.stamp, s.provider, s.fetch_ms, s.vision_ms, s.recognise_ms, s.attempt, s.job_id,
    s.recorded_at_ms, s.expected_hash
FROM json_each(?1) k
CROSS JOIN results s ON s.id = k.value ->> 0
WHERE true
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
