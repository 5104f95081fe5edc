//! Retention.

use async_trait::async_trait;
use uuid::Uuid;

use super::batch::PostgresTables;
use super::results::{READ_COMMITTED, tried};
use super::retirements::owner_only;
use super::{PostgresStore, READ, WRITE, column};
use crate::domain::{
    ContentHash, GalleryName, Job, LabelledImage, OperatorName, RetentionCounts, RetentionId,
    RetentionRun,
};
use crate::store::fault::Fault;
use crate::store::retaining::{
    RemovedContentRow, add_counts, due, ends_erased, remove_due, were_removed,
};
use crate::store::rows::RetentionRow;
use crate::store::{DuePage, RemovedContent, RemovedImages, Retention, RetentionQuery, StoreError};

#[async_trait]
impl Retention for PostgresStore {
    async fn due(&self, query: &RetentionQuery) -> Result<DuePage, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            due(&mut PostgresTables::new(&mut snapshot), query).await
        })
        .await
    }

    async fn remove_due(
        &self,
        run: RetentionId,
        query: &RetentionQuery,
    ) -> Result<DuePage, StoreError> {
        let remove = || async {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            let page = remove_due(&mut PostgresTables::new(&mut transaction), run, query).await?;
            transaction.commit().await?;
            Ok(page)
        };
        self.answer(READ, async { tried(remove).await.map_err(owners_alone) }).await
    }

    async fn may_remove(&self) -> Result<bool, StoreError> {
        let may = "SELECT has_table_privilege('images', 'DELETE')
            AND has_table_privilege('retentions', 'INSERT')
            AND has_table_privilege('removed_images', 'INSERT')";
        self.answer(READ, async { Ok(sqlx::query_scalar(may).fetch_one(&self.pool).await?) }).await
    }

    async fn begin_retention(
        &self,
        gallery: &GalleryName,
        by: &OperatorName,
    ) -> Result<RetentionId, StoreError> {
        let id = Uuid::now_v7();
        let insert = "INSERT INTO retentions (id, gallery, removed_by, counts)
            VALUES ($1, $2, $3, '{}')";
        self.answer(WRITE, async {
            let inserted = sqlx::query(insert)
                .bind(id)
                .bind(gallery.as_str())
                .bind(by.as_str())
                .execute(&self.pool)
                .await;
            inserted.map(|_| RetentionId(id)).map_err(|error| owners_alone(error.into()))
        })
        .await
    }

    async fn end_retention(
        &self,
        run: RetentionId,
        removed: RetentionCounts,
    ) -> Result<RetentionRun, StoreError> {
        self.answer(READ, async {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            add_counts(&mut PostgresTables::new(&mut transaction), run, removed).await?;
            let row: RetentionRow = sqlx::query_as(include_str!("sql/end_retention.sql"))
                .bind(run.0)
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            row.run()
        })
        .await
    }

    async fn retentions(&self) -> Result<Vec<RetentionRun>, StoreError> {
        self.answer(READ, async {
            let rows: Vec<RetentionRow> =
                sqlx::query_as(include_str!("sql/retentions.sql")).fetch_all(&self.pool).await?;
            rows.into_iter().map(RetentionRow::run).collect()
        })
        .await
    }
}

#[async_trait]
impl RemovedImages for PostgresStore {
    async fn were_removed(
        &self,
        gallery: &GalleryName,
        images: &[LabelledImage],
    ) -> Result<Vec<bool>, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            were_removed(&mut PostgresTables::new(&mut snapshot), gallery, images).await
        })
        .await
    }

    async fn ends_erased(
        &self,
        job: &Job,
        content: ContentHash,
    ) -> Result<Option<bool>, StoreError> {
        self.answer(READ, async {
            let mut connection = self.pool.acquire().await?;
            ends_erased(&mut PostgresTables::new(&mut connection), job, content).await
        })
        .await
    }

    async fn removed_contents(&self) -> Result<Vec<RemovedContent>, StoreError> {
        self.answer(READ, async {
            let rows: Vec<RemovedContentRow> =
                sqlx::query_as(include_str!("sql/removed_contents.sql"))
                    .fetch_all(&self.pool)
                    .await?;
            rows.into_iter().map(RemovedContentRow::content).collect()
        })
        .await
    }

    async fn forget_removed(&self, contents: &[RemovedContent]) -> Result<(), StoreError> {
        let delete = "DELETE FROM removed_contents WHERE content_hash = ANY ($1::bytea[])";
        self.answer(READ, async {
            sqlx::query(delete)
                .bind(column(contents, |content| content.hash.0.to_vec()))
                .execute(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }
}

fn owners_alone(fault: Fault) -> Fault {
    owner_only(fault, "remove what a gallery no longer keeps")
}
