//! Erasing.

use std::time::Duration;

use async_trait::async_trait;
use sqlx::PgConnection;
use tokio::time::Instant;

use super::batch::PostgresTables;
use super::results::{READ_COMMITTED, tried};
use super::retirements::owner_only;
use super::{PostgresStore, READ};
use crate::domain::{ContentHash, Erasure, ErasureCounts, ErasureId, Job};
use crate::store::burial::erase;
use crate::store::choosing::taken;
use crate::store::erasing::find_erased;
use crate::store::fault::Fault;
use crate::store::rows::{ErasureRow, corrupt};
use crate::store::{Erasable, Erasures, NewErasure, StoreError};

/// The longest that those who read an old state are waited for.
const LONGEST_READER: Duration = Duration::from_secs(120);
/// The time between looks for them.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The longest that an erasure, or writing the tables anew, may take.
pub(super) const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[async_trait]
impl Erasures for PostgresStore {
    async fn erasable(&self, new: &NewErasure) -> Result<Erasable, StoreError> {
        let erasable = async { tried(|| self.try_erasable(new)).await.map_err(owners_alone) };
        self.answer(LONGEST, erasable).await
    }

    async fn erase(&self, new: &NewErasure) -> Result<Erasure, StoreError> {
        let erase = async { tried(|| self.try_erase(new)).await.map_err(owners_alone) };
        self.answer(LONGEST, erase).await
    }

    async fn are_erased(&self, jobs: &[Job]) -> Result<Vec<bool>, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            let jobs_alone = jobs.iter().map(|job| (job, None));
            let erased = find_erased(&mut PostgresTables::new(&mut snapshot), jobs_alone).await?;
            Ok(erased.unwrap_or_else(|| vec![false; jobs.len()]))
        })
        .await
    }

    async fn erased_contents(&self, id: ErasureId) -> Result<Vec<ContentHash>, StoreError> {
        self.answer(READ, async {
            let mut connection = self.pool.acquire().await?;
            PostgresTables::new(&mut connection).noted_contents(id).await
        })
        .await
    }

    async fn end_erasure(
        &self,
        id: ErasureId,
        removed: &ErasureCounts,
    ) -> Result<Erasure, StoreError> {
        self.answer(READ, async {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            let counts: String = sqlx::query_scalar("SELECT counts FROM erasures WHERE id = $1")
                .bind(id.0)
                .fetch_one(&mut *transaction)
                .await?;
            let counts: ErasureCounts = serde_json::from_str(&counts).map_err(corrupt)?;
            sqlx::query("DELETE FROM erasure_contents WHERE erasure_id = $1")
                .bind(id.0)
                .execute(&mut *transaction)
                .await?;
            let row: ErasureRow = sqlx::query_as(include_str!("sql/end_erasure.sql"))
                .bind(id.0)
                .bind(serde_json::to_string(&counts.plus(removed)).map_err(corrupt)?)
                .bind(!removed.removed().is_empty())
                .fetch_one(&mut *transaction)
                .await?;
            transaction.commit().await?;
            row.erasure()
        })
        .await
    }

    async fn erasures(&self) -> Result<Vec<Erasure>, StoreError> {
        self.answer(READ, async {
            let rows: Vec<ErasureRow> =
                sqlx::query_as(include_str!("sql/erasures.sql")).fetch_all(&self.pool).await?;
            rows.into_iter().map(ErasureRow::erasure).collect()
        })
        .await
    }

    /// What is deleted stays in the pages of tables, and in indexes, until they are written anew.
    /// Only the owner of a table may do it.
    async fn rewrite(&self) -> Result<(), StoreError> {
        self.answer(LONGEST, async {
            let mut connection = self.pool.acquire().await?;
            // The next user of the connection has the limit of the others.
            connection.close_on_drop();
            sqlx::query("SET statement_timeout = 0").execute(&mut *connection).await?;
            outlast_readers(&mut connection).await?;
            for rewrite in [
                include_str!("sql/rewrite.sql"),
                // The samples of values that ANALYZE took before. Without the right to, the server
                // warns and skips it.
                "VACUUM (FULL) pg_catalog.pg_statistic",
            ] {
                sqlx::query(rewrite).execute(&mut *connection).await?;
            }
            Ok(())
        })
        .await
    }
}

pub(super) fn owners_alone(fault: Fault) -> Fault {
    owner_only(fault, "erase")
}

impl PostgresStore {
    async fn try_erasable(&self, new: &NewErasure) -> Result<Erasable, Fault> {
        let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
        let mut tables = PostgresTables::new(&mut transaction);
        let images = taken(&mut tables, new).await?;
        let (erasure, counts) = erase(&mut tables, new).await?;
        let contents = tables.noted_contents(erasure.id).await?;
        transaction.rollback().await?;
        Ok(Erasable { counts, contents, images })
    }

    async fn try_erase(&self, new: &NewErasure) -> Result<Erasure, Fault> {
        let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
        let (erasure, _) = erase(&mut PostgresTables::new(&mut transaction), new).await?;
        transaction.commit().await?;
        Ok(erasure)
    }
}

impl PostgresTables<'_> {
    /// The contents of images that an erasure removed, while it has not ended.
    pub(super) async fn noted_contents(
        &mut self,
        ErasureId(id): ErasureId,
    ) -> Result<Vec<ContentHash>, Fault> {
        let noted = "SELECT content_hash FROM erasure_contents WHERE erasure_id = $1";
        let hashes: Vec<Vec<u8>> =
            sqlx::query_scalar(noted).bind(id).fetch_all(&mut *self.connection).await?;
        let hash = |bytes: Vec<u8>| bytes.try_into().map(ContentHash);
        let hashes: Result<_, Vec<u8>> = hashes.into_iter().map(hash).collect();
        hashes.map_err(|_| corrupt("a content hash of another length"))
    }
}

/// Waits until nobody reads a state from before now: what they may see, a table that is written
/// anew keeps. Those of other roles are seen with the right `pg_read_all_stats` alone.
async fn outlast_readers(connection: &mut PgConnection) -> Result<(), Fault> {
    let now: String =
        sqlx::query_scalar("SELECT pg_current_xact_id()::text").fetch_one(&mut *connection).await?;
    let give_up = Instant::now() + LONGEST_READER;
    loop {
        let older: bool = sqlx::query_scalar(include_str!("sql/older_readers.sql"))
            .bind(&now)
            .fetch_one(&mut *connection)
            .await?;
        if !older {
            return Ok(());
        }
        if Instant::now() > give_up {
            let reason = "a transaction on the server, of this database or another one, takes \
                long, such as an export or a dump: run the same command again when that has ended";
            return Err(StoreError::Unavailable(reason.into()).into());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}
