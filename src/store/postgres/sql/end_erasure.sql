-- An erasure that had ended, and removed nothing since, keeps its time.
UPDATE erasures SET counts = $2, ended_at = CASE WHEN $3 THEN now() ELSE coalesce(ended_at, now()) END
WHERE id = $1
RETURNING
    id, gallery, kind, target, erased_by, counts,
    floor(extract(epoch FROM begun_at) * 1000)::bigint AS begun_at_ms,
    floor(extract(epoch FROM ended_at) * 1000)::bigint AS ended_at_ms
