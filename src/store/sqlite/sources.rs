//! The sources of images that workers had trouble with.

use sqlx::SqlitePool;

use super::rows::now_ms;
use crate::domain::{SourceName, SourceStatus};
use crate::store::columns::noted_source;
use crate::store::fault::Fault;
use crate::store::news_ms;

pub(super) async fn note(
    pool: &SqlitePool,
    source: &SourceName,
    trouble: Option<&str>,
) -> Result<(), Fault> {
    let now = now_ms();
    sqlx::query(
        "INSERT INTO source_troubles (name, reason, since_ms, seen_ms) VALUES (?1, ?2, ?3, ?3) ON \
            CONFLICT (name) DO UPDATE SET \
         since_ms = iif(reason IS NULL OR excluded.reason IS NULL OR seen_ms < ?4, \
         excluded.since_ms, since_ms), \
         reason = excluded.reason, seen_ms = excluded.seen_ms",
    )
    .bind(source.as_str())
    .bind(trouble)
    .bind(now)
    .bind(now - news_ms())
    .execute(pool)
    .await?;
    Ok(())
}

pub(super) async fn all(pool: &SqlitePool) -> Result<Vec<SourceStatus>, Fault> {
    let rows = sqlx::query(
        "SELECT name, iif(seen_ms < ?1, NULL, reason), since_ms FROM source_troubles ORDER BY name",
    )
    .bind(now_ms() - news_ms())
    .fetch_all(pool)
    .await?;
    rows.iter().map(noted_source).collect()
}
