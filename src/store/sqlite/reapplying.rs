//! Erasing again.

use async_trait::async_trait;

use super::SqliteStore;
use super::batch::SqliteTables;
use crate::domain::{ErasedBefore, Erasure, ErasureId, ErasureMarks};
use crate::store::reapplying::{can_reapply, erasure_marks, reapply};
use crate::store::{Erasable, Reapplicable, Reapplying, StoreError};

#[async_trait]
impl Reapplying for SqliteStore {
    async fn erasure_marks(&self, id: ErasureId) -> Result<ErasureMarks, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            erasure_marks(&mut SqliteTables(&mut snapshot), id).await
        })
        .await
    }

    async fn can_reapply(&self, before: &ErasedBefore) -> Result<Reapplicable, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            can_reapply(&mut SqliteTables(&mut snapshot), before).await
        })
        .await
    }

    async fn reapplicable(&self, before: &ErasedBefore) -> Result<Erasable, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let mut tables = SqliteTables(&mut transaction);
            let (erasure, counts) = reapply(&mut tables, before).await?;
            let contents = tables.noted_contents(erasure.id).await?;
            transaction.rollback().await?;
            Ok(Erasable { counts, contents, images: Vec::new() })
        })
        .await
    }

    async fn reapply(&self, before: &ErasedBefore) -> Result<Erasure, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let (erasure, _) = reapply(&mut SqliteTables(&mut transaction), before).await?;
            transaction.commit().await?;
            Ok(erasure)
        })
        .await
    }
}
