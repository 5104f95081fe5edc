INSERT INTO results (
    id, image_id, gallery_profile_id, superseded, noted, outcome, reason, selection, stamp,
    provider, fetch_ms, vision_ms, recognise_ms, attempt, job_id, recorded_at,
    expected_hash
)
SELECT
    k.target_id, s.image_id, $3, s.superseded, s.noted, s.outcome, s.reason, s.selection, s.stamp,
    s.provider, s.fetch_ms, s.vision_ms, s.recognise_ms, s.attempt, s.job_id, s.recorded_at, s.expected_hash
FROM unnest($1::bigint[], $2::bigint[]) k (source_id, target_id)
JOIN results s ON s.id = k.source_id
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
    recorded_at = excluded.recorded_at,
    expected_hash = excluded.expected_hash
