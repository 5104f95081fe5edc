//! Erasing again.

use async_trait::async_trait;

use super::batch::PostgresTables;
use super::erasures::{LONGEST, owners_alone};
use super::results::{READ_COMMITTED, tried};
use super::{PostgresStore, READ};
use crate::domain::{ErasedBefore, Erasure, ErasureId, ErasureMarks};
use crate::store::fault::Fault;
use crate::store::reapplying::{can_reapply, erasure_marks, reapply};
use crate::store::{Erasable, Reapplicable, Reapplying, StoreError};

#[async_trait]
impl Reapplying for PostgresStore {
    async fn erasure_marks(&self, id: ErasureId) -> Result<ErasureMarks, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            erasure_marks(&mut PostgresTables::new(&mut snapshot), id).await
        })
        .await
    }

    async fn can_reapply(&self, before: &ErasedBefore) -> Result<Reapplicable, StoreError> {
        self.answer(LONGEST, async {
            let mut snapshot = self.begin_snapshot().await?;
            can_reapply(&mut PostgresTables::new(&mut snapshot), before).await
        })
        .await
    }

    async fn reapplicable(&self, before: &ErasedBefore) -> Result<Erasable, StoreError> {
        let reapplicable =
            async { tried(|| self.try_reapplicable(before)).await.map_err(owners_alone) };
        self.answer(LONGEST, reapplicable).await
    }

    async fn reapply(&self, before: &ErasedBefore) -> Result<Erasure, StoreError> {
        let reapply = async { tried(|| self.try_reapply(before)).await.map_err(owners_alone) };
        self.answer(LONGEST, reapply).await
    }
}

impl PostgresStore {
    async fn try_reapplicable(&self, before: &ErasedBefore) -> Result<Erasable, Fault> {
        let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
        let mut tables = PostgresTables::new(&mut transaction);
        let (erasure, counts) = reapply(&mut tables, before).await?;
        let contents = tables.noted_contents(erasure.id).await?;
        transaction.rollback().await?;
        Ok(Erasable { counts, contents, images: Vec::new() })
    }

    async fn try_reapply(&self, before: &ErasedBefore) -> Result<Erasure, Fault> {
        let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
        let (erasure, _) = reapply(&mut PostgresTables::new(&mut transaction), before).await?;
        transaction.commit().await?;
        Ok(erasure)
    }
}
