//! Copying results to a profile with another mapping. The rows stay in the database.

use async_trait::async_trait;

use super::batch::PostgresTables;
use super::{PostgresStore, WRITE, fault};
use crate::domain::OutcomeKind;
use crate::store::erasing::TombstoneTables;
use crate::store::fault::Fault;
use crate::store::remap::{self, CandidateRow, Copies, RemapTables};
use crate::store::{Remap, RemapPosition, RemapStep, Remapping, StoreError};

#[async_trait]
impl Remapping for PostgresStore {
    /// One connection would leave cores of the server idle.
    fn remap_parts(&self) -> u32 {
        4
    }

    async fn remap(&self, remap: &Remap, position: RemapPosition) -> Result<RemapStep, StoreError> {
        self.answer(WRITE, async {
            match self.try_remap(remap, position).await {
                Err(fault) if fault::is_race(&fault) => self.try_remap(remap, position).await,
                ended => ended,
            }
        })
        .await
    }
}

impl PostgresStore {
    async fn try_remap(&self, remap: &Remap, position: RemapPosition) -> Result<RemapStep, Fault> {
        // What was committed while a statement waited for a lock must be seen by the next one.
        let mut transaction = self.pool.begin_with("BEGIN ISOLATION LEVEL READ COMMITTED").await?;
        let mut tables = PostgresTables::new(&mut transaction);
        tables.hold_off_erasures().await?;
        let done = remap::step(&mut tables, remap, position).await?;
        transaction.commit().await?;
        Ok(done)
    }
}

impl RemapTables for PostgresTables<'_> {
    async fn results_after(
        &mut self,
        remap: &Remap,
        gallery_profile: i64,
        after: i64,
    ) -> Result<Vec<i64>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/remap_ids.sql"))
            .bind(gallery_profile)
            .bind(OutcomeKind::ALL.map(OutcomeKind::as_str).to_vec())
            .bind(after)
            .bind(i64::from(remap.batch))
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn notes_after(
        &mut self,
        remap: &Remap,
        gallery_profile: i64,
        after: i64,
    ) -> Result<Vec<i64>, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/remap_notes.sql"))
            .bind(gallery_profile)
            .bind(after)
            .bind(i64::from(remap.batch))
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn lock_images(&mut self, results: &[i64]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/remap_lock.sql"))
            .bind(results)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn candidates(
        &mut self,
        results: &[i64],
        target: i64,
    ) -> Result<Vec<CandidateRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/remap_candidates.sql"))
            .bind(results)
            .bind(target)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn write_copies(
        &mut self,
        remap: &Remap,
        target: i64,
        copies: &Copies,
    ) -> Result<u64, Fault> {
        self.set_superseded(&copies.superseded, true).await?;
        self.set_superseded(&copies.revived, false).await?;
        if !copies.noted.is_empty() {
            sqlx::query("UPDATE results SET noted = true WHERE id = ANY ($1::bigint[])")
                .bind(&copies.noted)
                .execute(&mut *self.connection)
                .await?;
        }
        let replaced: Vec<(i64, &str)> =
            copies.replaced.iter().map(|&result| (result, remap.to.as_str())).collect();
        self.clear_faces(&replaced).await?;
        if copies.pairs.is_empty() {
            return Ok(0);
        }
        let (sources, targets): (Vec<i64>, Vec<i64>) = copies.pairs.iter().copied().unzip();
        sqlx::query(include_str!("sql/remap_results.sql"))
            .bind(&sources)
            .bind(&targets)
            .bind(target)
            .execute(&mut *self.connection)
            .await?;
        let faces = sqlx::query(include_str!("sql/remap_faces.sql"))
            .bind(&sources)
            .bind(&targets)
            .bind(target)
            .bind(&remap.cutoffs)
            .execute(&mut *self.connection)
            .await?;
        sqlx::query(include_str!("sql/remap_templates.sql"))
            .bind(sources)
            .bind(targets)
            .bind(remap.from.as_str())
            .bind(remap.to.as_str())
            .execute(&mut *self.connection)
            .await?;
        Ok(faces.rows_affected())
    }
}
