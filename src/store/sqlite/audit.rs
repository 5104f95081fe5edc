//! What was decided, in the order of time.

use async_trait::async_trait;

use super::SqliteStore;
use crate::domain::GalleryName;
use crate::store::audit::{AuditedChangeRow, AuditedDecisionRow, AuditedVerdictRow};
use crate::store::{Audit, AuditQuery, AuditedChange, AuditedDecision, AuditedVerdict, StoreError};

#[async_trait]
impl Audit for SqliteStore {
    async fn audited_decisions(
        &self,
        query: &AuditQuery,
    ) -> Result<Vec<AuditedDecision>, StoreError> {
        self.answer(async {
            let rows: Vec<AuditedDecisionRow> =
                sqlx::query_as(include_str!("sql/audited_decisions.sql"))
                    .bind(query.gallery.as_ref().map(GalleryName::as_str))
                    .bind(query.after.at_us)
                    .bind(query.after.first)
                    .bind(query.after.second)
                    .bind(query.until_us())
                    .bind(i64::from(query.limit))
                    .fetch_all(&self.readers)
                    .await?;
            rows.into_iter().map(AuditedDecisionRow::decision).collect()
        })
        .await
    }

    async fn audited_verdicts(
        &self,
        query: &AuditQuery,
    ) -> Result<Vec<AuditedVerdict>, StoreError> {
        self.answer(async {
            let rows: Vec<AuditedVerdictRow> =
                sqlx::query_as(include_str!("sql/audited_verdicts.sql"))
                    .bind(query.gallery.as_ref().map(GalleryName::as_str))
                    .bind(query.after.at_us)
                    .bind(query.after.first)
                    .bind(query.after.second)
                    .bind(query.until_us())
                    .bind(i64::from(query.limit))
                    .fetch_all(&self.readers)
                    .await?;
            rows.into_iter().map(AuditedVerdictRow::verdict).collect()
        })
        .await
    }

    async fn audited_changes(&self, query: &AuditQuery) -> Result<Vec<AuditedChange>, StoreError> {
        self.answer(async {
            let rows: Vec<AuditedChangeRow> =
                sqlx::query_as(include_str!("sql/audited_changes.sql"))
                    .bind(query.gallery.as_ref().map(GalleryName::as_str))
                    .bind(query.after.at_us)
                    .bind(query.after.first)
                    .bind(query.until_us())
                    .bind(i64::from(query.limit))
                    .fetch_all(&self.readers)
                    .await?;
            rows.into_iter().map(AuditedChangeRow::change).collect()
        })
        .await
    }
}
