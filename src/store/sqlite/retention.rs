//! Retention.

use async_trait::async_trait;
use uuid::Uuid;

use super::batch::SqliteTables;
use super::{SqliteStore, json, now_ms};
use crate::domain::{
    ContentHash, GalleryName, Job, LabelledImage, OperatorName, RetentionCounts, RetentionId,
    RetentionRun,
};
use crate::store::retaining::{
    RemovedContentRow, add_counts, due, ends_erased, remove_due, were_removed,
};
use crate::store::rows::RetentionRow;
use crate::store::{DuePage, RemovedContent, RemovedImages, Retention, RetentionQuery, StoreError};

#[async_trait]
impl Retention for SqliteStore {
    async fn due(&self, query: &RetentionQuery) -> Result<DuePage, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            due(&mut SqliteTables(&mut snapshot), query).await
        })
        .await
    }

    async fn remove_due(
        &self,
        run: RetentionId,
        query: &RetentionQuery,
    ) -> Result<DuePage, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let page = remove_due(&mut SqliteTables(&mut transaction), run, query).await?;
            transaction.commit().await?;
            Ok(page)
        })
        .await
    }

    /// Whoever may write the file may.
    async fn may_remove(&self) -> Result<bool, StoreError> {
        Ok(true)
    }

    async fn begin_retention(
        &self,
        gallery: &GalleryName,
        by: &OperatorName,
    ) -> Result<RetentionId, StoreError> {
        let id = Uuid::now_v7();
        let insert = "INSERT INTO retentions (id, gallery, removed_by, counts, begun_at_ms)
            VALUES (?1, ?2, ?3, '{}', ?4)";
        self.answer(async {
            sqlx::query(insert)
                .bind(id)
                .bind(gallery.as_str())
                .bind(by.as_str())
                .bind(now_ms())
                .execute(&self.writer)
                .await?;
            Ok(RetentionId(id))
        })
        .await
    }

    async fn end_retention(
        &self,
        run: RetentionId,
        removed: RetentionCounts,
    ) -> Result<RetentionRun, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            add_counts(&mut SqliteTables(&mut transaction), run, removed).await?;
            let row: RetentionRow = sqlx::query_as(include_str!("sql/end_retention.sql"))
                .bind(run.0)
                .bind(now_ms())
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            row.run()
        })
        .await
    }

    async fn retentions(&self) -> Result<Vec<RetentionRun>, StoreError> {
        self.answer(async {
            let rows: Vec<RetentionRow> =
                sqlx::query_as(include_str!("sql/retentions.sql")).fetch_all(&self.readers).await?;
            rows.into_iter().map(RetentionRow::run).collect()
        })
        .await
    }
}

#[async_trait]
impl RemovedImages for SqliteStore {
    async fn were_removed(
        &self,
        gallery: &GalleryName,
        images: &[LabelledImage],
    ) -> Result<Vec<bool>, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            were_removed(&mut SqliteTables(&mut snapshot), gallery, images).await
        })
        .await
    }

    async fn ends_erased(
        &self,
        job: &Job,
        content: ContentHash,
    ) -> Result<Option<bool>, StoreError> {
        self.answer(async {
            let mut connection = self.readers.acquire().await?;
            ends_erased(&mut SqliteTables(&mut connection), job, content).await
        })
        .await
    }

    async fn removed_contents(&self) -> Result<Vec<RemovedContent>, StoreError> {
        self.answer(async {
            let rows: Vec<RemovedContentRow> =
                sqlx::query_as(include_str!("sql/removed_contents.sql"))
                    .fetch_all(&self.readers)
                    .await?;
            rows.into_iter().map(RemovedContentRow::content).collect()
        })
        .await
    }

    async fn forget_removed(&self, contents: &[RemovedContent]) -> Result<(), StoreError> {
        let delete = "DELETE FROM removed_contents
            WHERE content_hash IN (SELECT unhex(value) FROM json_each(?1))";
        self.answer(async {
            sqlx::query(delete)
                .bind(json(contents.iter().map(|content| content.hash.to_string())))
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }
}
