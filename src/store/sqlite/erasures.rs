//! Erasing.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqliteConnection;
use tokio::time::{Instant, sleep};

use super::batch::SqliteTables;
use super::{SqliteStore, now_ms};
use crate::domain::{ContentHash, Erasure, ErasureCounts, ErasureId, Job};
use crate::store::burial::erase;
use crate::store::choosing::taken;
use crate::store::erasing::find_erased;
use crate::store::fault::Fault;
use crate::store::rows::{ErasureRow, corrupt};
use crate::store::{Erasable, Erasures, NewErasure, StoreError};

/// Between attempts to empty the write-ahead log.
const PAUSE: Duration = Duration::from_millis(100);

#[async_trait]
impl Erasures for SqliteStore {
    async fn erasable(&self, new: &NewErasure) -> Result<Erasable, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let mut tables = SqliteTables(&mut transaction);
            let images = taken(&mut tables, new).await?;
            let (erasure, counts) = erase(&mut tables, new).await?;
            let contents = tables.noted_contents(erasure.id).await?;
            transaction.rollback().await?;
            Ok(Erasable { counts, contents, images })
        })
        .await
    }

    async fn erase(&self, new: &NewErasure) -> Result<Erasure, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let (erasure, _) = erase(&mut SqliteTables(&mut transaction), new).await?;
            transaction.commit().await?;
            Ok(erasure)
        })
        .await
    }

    async fn are_erased(&self, jobs: &[Job]) -> Result<Vec<bool>, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            let jobs_alone = jobs.iter().map(|job| (job, None));
            let erased = find_erased(&mut SqliteTables(&mut snapshot), jobs_alone).await?;
            Ok(erased.unwrap_or_else(|| vec![false; jobs.len()]))
        })
        .await
    }

    async fn erased_contents(&self, id: ErasureId) -> Result<Vec<ContentHash>, StoreError> {
        self.answer(async {
            let mut connection = self.readers.acquire().await?;
            SqliteTables(&mut connection).noted_contents(id).await
        })
        .await
    }

    async fn end_erasure(
        &self,
        id: ErasureId,
        removed: &ErasureCounts,
    ) -> Result<Erasure, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let counts: String = sqlx::query_scalar("SELECT counts FROM erasures WHERE id = ?1")
                .bind(id.0)
                .fetch_one(&mut *transaction)
                .await?;
            let counts: ErasureCounts = serde_json::from_str(&counts).map_err(corrupt)?;
            sqlx::query("DELETE FROM erasure_contents WHERE erasure_id = ?1")
                .bind(id.0)
                .execute(&mut *transaction)
                .await?;
            let row: ErasureRow = sqlx::query_as(include_str!("sql/end_erasure.sql"))
                .bind(id.0)
                .bind(serde_json::to_string(&counts.plus(removed)).map_err(corrupt)?)
                .bind(now_ms())
                .bind(!removed.removed().is_empty())
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            row.erasure()
        })
        .await
    }

    async fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        self.answer(async {
            let rows: Vec<ErasureRow> =
                sqlx::query_as(include_str!("sql/erasures.sql")).fetch_all(&self.readers).await?;
            rows.into_iter().map(ErasureRow::erasure).collect()
        })
        .await
    }

    /// Deleted rows are overwritten when they are deleted, but a page may hold older copies of
    /// them. The write-ahead log keeps its pages until it is emptied.
    async fn rewrite(&self) -> Result<(), StoreError> {
        self.answer(async {
            let mut writer = self.writer.acquire().await?;
            // It gets another busy timeout below.
            writer.close_on_drop();
            sqlx::query("VACUUM").execute(&mut *writer).await?;
            if !empty_log(&mut writer, Instant::now() + 2 * self.busy_timeout).await? {
                let reason = format!(
                    "{}: others read the store, so its write-ahead log cannot be emptied now: \
                        run the same command again, or end them first",
                    self.location
                );
                return Err(Fault::from(StoreError::Unavailable(reason)));
            }
            Ok(())
        })
        .await
    }
}

/// Empties the write-ahead log as soon as nobody reads from it. Whether that was before `due`.
///
/// An attempt keeps others from writing, and whoever reads may go on only once something was
/// written: attempts are short, and there is time for others between them.
async fn empty_log(writer: &mut SqliteConnection, due: Instant) -> Result<bool, Fault> {
    sqlx::query("PRAGMA busy_timeout = 200").execute(&mut *writer).await?;
    loop {
        let (busy, _, _): (i64, i64, i64) =
            sqlx::query_as("PRAGMA wal_checkpoint(TRUNCATE)").fetch_one(&mut *writer).await?;
        if busy == 0 || Instant::now() > due {
            return Ok(busy == 0);
        }
        sleep(PAUSE).await;
    }
}
