//! The sources of images that workers had trouble with.

use sqlx::PgPool;

use crate::domain::{SourceName, SourceStatus};
use crate::store::columns::noted_source;
use crate::store::fault::Fault;
use crate::store::news_ms;

pub(super) async fn note(
    pool: &PgPool,
    source: &SourceName,
    trouble: Option<&str>,
) -> Result<(), Fault> {
    sqlx::query(
        "INSERT INTO source_troubles AS s (name, reason) VALUES ($1, $2) ON CONFLICT (name) DO \
            UPDATE SET \
         since = CASE WHEN s.reason IS NULL OR excluded.reason IS NULL OR s.seen < now() - $3 * \
         interval '1 ms' \
         THEN excluded.since ELSE s.since END, reason = excluded.reason, seen = excluded.seen",
    )
    .bind(source.as_str())
    .bind(trouble)
    .bind(news_ms())
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn all(pool: &PgPool) -> Result<Vec<SourceStatus>, Fault> {
    let rows = sqlx::query(
        "SELECT name, CASE WHEN seen < now() - $1 * interval '1 ms' THEN NULL ELSE reason END, \
         floor(extract(epoch FROM since) * 1000)::bigint FROM source_troubles ORDER BY name",
    )
    .bind(news_ms())
    .fetch_all(pool)
    .await?;
    rows.iter().map(noted_source).collect()
}
