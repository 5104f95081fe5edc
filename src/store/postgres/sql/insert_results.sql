INSERT INTO results (
    id, image_id, gallery_profile_id, outcome, reason, selection, stamp, provider,
    fetch_ms, vision_ms, recognise_ms, attempt, job_id, superseded, noted, expected_hash
)
SELECT
    k.id, k.image_id, k.gallery_profile_id, k.outcome, k.reason, k.selection, k.stamp, k.provider,
    k.fetch_ms, k.vision_ms, k.recognise_ms, k.attempt, k.job_id, k.noted, k.noted,
    k.expected_hash
FROM unnest(
    $1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[],
    $8::text[], $9::real[], $10::real[], $11::real[], $12::bigint[], $13::uuid[], $14::boolean[],
    $15::bytea[]
) k (
    id, image_id, gallery_profile_id, outcome, reason, selection, stamp,
    provider, fetch_ms, vision_ms, recognise_ms, attempt, job_id, noted, expected_hash
)
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
