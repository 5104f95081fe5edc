//! The workers that run.

use async_trait::async_trait;
use serde_json::json;

use super::{SqliteStore, now_ms};
use crate::domain::{SeenWorker, WorkerId, WorkerReport};
use crate::store::rows::WorkerRow;
use crate::store::workers::{forgotten_ms, gone_ms};
use crate::store::{StoreError, Workers};

#[async_trait]
impl Workers for SqliteStore {
    async fn beat(&self, worker: &WorkerReport) -> Result<(), StoreError> {
        let now = now_ms();
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            sqlx::query(include_str!("sql/beat.sql"))
                .bind(worker.id.0)
                .bind(&worker.host)
                .bind(i64::from(worker.pid))
                .bind(&worker.version)
                .bind(&worker.queue)
                .bind(worker.profile.as_str())
                .bind(&worker.provider)
                .bind(json!(worker.lanes).to_string())
                .bind(json!(worker.roots).to_string())
                .bind(json!(worker.resolved).to_string())
                .bind(&worker.listener)
                .bind(json!(worker.settings).to_string())
                .bind(now)
                .execute(&mut *transaction)
                .await?;
            sqlx::query("DELETE FROM workers WHERE abs(last_seen_ms - ?1) > ?2")
                .bind(now)
                .bind(forgotten_ms())
                .execute(&mut *transaction)
                .await?;
            Ok(transaction.commit().await?)
        })
        .await
    }

    async fn workers(&self) -> Result<Vec<SeenWorker>, StoreError> {
        let now = now_ms();
        self.answer(async {
            let rows: Vec<WorkerRow> = sqlx::query_as(include_str!("sql/workers.sql"))
                .bind(now)
                .bind(gone_ms())
                .bind(forgotten_ms())
                .fetch_all(&self.readers)
                .await?;
            rows.into_iter().map(WorkerRow::worker).collect()
        })
        .await
    }

    async fn end_worker(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.answer(async {
            sqlx::query("DELETE FROM workers WHERE id = ?1")
                .bind(worker.0)
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }
}
