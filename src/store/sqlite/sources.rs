//! The status of the sources that images come from.

use async_trait::async_trait;

use super::{SqliteStore, now_ms};
use crate::domain::{SourceName, SourceStatus};
use crate::store::rows::SourceRow;
use crate::store::sources::ttl_ms;
use crate::store::{SourceStatuses, StoreError};

#[async_trait]
impl SourceStatuses for SqliteStore {
    async fn set_source_status(
        &self,
        source: &SourceName,
        trouble: Option<&str>,
    ) -> Result<(), StoreError> {
        let now = now_ms();
        self.answer(async {
            sqlx::query(include_str!("sql/set_source_status.sql"))
                .bind(source.as_str())
                .bind(trouble)
                .bind(now)
                .bind(now - ttl_ms())
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    async fn source_statuses(&self) -> Result<Vec<SourceStatus>, StoreError> {
        self.answer(async {
            let rows: Vec<SourceRow> = sqlx::query_as(include_str!("sql/source_statuses.sql"))
                .bind(now_ms() - ttl_ms())
                .fetch_all(&self.readers)
                .await?;
            rows.into_iter().map(SourceRow::status).collect()
        })
        .await
    }
}
