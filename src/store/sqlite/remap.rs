//! Copying results to a profile with another mapping. The rows stay in the file.

use async_trait::async_trait;

use super::batch::SqliteTables;
use super::insert::insert;
use super::{SqliteStore, json};
use crate::domain::OutcomeKind;
use crate::store::fault::Fault;
use crate::store::remap::{self, CandidateRow, Copies, RemapTables};
use crate::store::{Remap, RemapPosition, RemapStep, Remapping, StoreError};

/// Below every score.
const LOWEST: f64 = -1.0;

#[async_trait]
impl Remapping for SqliteStore {
    fn remap_parts(&self) -> u32 {
        1
    }

    async fn remap(&self, remap: &Remap, position: RemapPosition) -> Result<RemapStep, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let mut tables = SqliteTables(&mut transaction);
            let done = remap::step(&mut tables, remap, position).await?;
            transaction.commit().await?;
            Ok(done)
        })
        .await
    }
}

impl RemapTables for SqliteTables<'_> {
    async fn results_after(
        &mut self,
        remap: &Remap,
        gallery_profile: i64,
        after: i64,
    ) -> Result<Vec<i64>, Fault> {
        let mut ids: Vec<i64> = Vec::new();
        for outcome in OutcomeKind::ALL {
            let found: Vec<i64> = sqlx::query_scalar(include_str!("sql/remap_ids.sql"))
                .bind(gallery_profile)
                .bind(outcome.as_str())
                .bind(after)
                .bind(remap.batch)
                .fetch_all(&mut *self.0)
                .await?;
            ids.extend(found);
        }
        ids.sort_unstable();
        ids.truncate(usize::try_from(remap.batch).unwrap_or(usize::MAX));
        Ok(ids)
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
            .bind(remap.batch)
            .fetch_all(&mut *self.0)
            .await?)
    }

    /// The transaction holds the write lock of the file.
    async fn lock_images(&mut self, _: &[i64]) -> Result<(), Fault> {
        Ok(())
    }

    async fn candidates(
        &mut self,
        results: &[i64],
        target: i64,
    ) -> Result<Vec<CandidateRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/remap_candidates.sql"))
            .bind(json(results.iter().copied()))
            .bind(target)
            .fetch_all(&mut *self.0)
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
        self.update(include_str!("sql/remap_set_noted.sql"), &copies.noted).await?;
        self.update(include_str!("sql/delete_faces.sql"), &copies.replaced).await?;
        if copies.pairs.is_empty() {
            return Ok(0);
        }
        self.write_cutoffs(&remap.cutoffs).await?;
        let pairs =
            json(copies.pairs.iter().map(|&(source, copy)| serde_json::json!([source, copy])));
        sqlx::query(include_str!("sql/remap_results.sql"))
            .bind(&pairs)
            .bind(target)
            .execute(&mut *self.0)
            .await?;
        let faces = sqlx::query(include_str!("sql/remap_faces.sql"))
            .bind(&pairs)
            .bind(target)
            .execute(&mut *self.0)
            .await?;
        sqlx::query(include_str!("sql/remap_templates.sql"))
            .bind(pairs)
            .execute(&mut *self.0)
            .await?;
        Ok(faces.rows_affected())
    }
}

impl SqliteTables<'_> {
    /// Writes the lowest score of each quality, for the statement that copies faces.
    async fn write_cutoffs(&mut self, cutoffs: &[f64]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/remap_cutoffs.sql")).execute(&mut *self.0).await?;
        sqlx::query("DELETE FROM temp.cutoffs").execute(&mut *self.0).await?;
        let rows: Vec<(f64, i64)> =
            std::iter::once(LOWEST).chain(cutoffs.iter().copied()).zip(0..).collect();
        insert(self.0, include_str!("sql/remap_insert_cutoffs.sql"), &rows, |mut row, cutoff| {
            row.push_bind(cutoff.0).push_bind(cutoff.1);
        })
        .await
    }
}
