//! The end of profiles.

use async_trait::async_trait;

use super::profiles::active_profile;
use super::reading::find_scope;
use super::{SqliteStore, json};
use crate::domain::{GalleryName, ProfileId};
use crate::store::profiles::final_outcomes;
use crate::store::rows::SoleResultsRow;
use crate::store::{RETIRED_AT_ONCE, RetireStep, Retirements, SoleResults, StoreError};

#[async_trait]
impl Retirements for SqliteStore {
    async fn sole_results(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<SoleResults, StoreError> {
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            let Some(own) = find_scope(&mut snapshot, gallery, profile).await? else {
                return Ok(SoleResults::default());
            };
            let row: SoleResultsRow = sqlx::query_as(include_str!("sql/sole_results.sql"))
                .bind(own)
                .bind(json(final_outcomes()))
                .fetch_one(&mut *snapshot)
                .await?;
            row.sole_results()
        })
        .await
    }

    async fn retire(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        after: i64,
    ) -> Result<RetireStep, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let Some(own) = find_scope(&mut transaction, gallery, profile).await? else {
                return Ok(RetireStep::Done);
            };
            let active = active_profile(&mut transaction, gallery).await?;
            if active.is_some_and(|active| active.gallery_profile_id == own) {
                return Ok(RetireStep::Active);
            }
            let results: Vec<i64> = sqlx::query_scalar(include_str!("sql/retired_results.sql"))
                .bind(own)
                .bind(after)
                .bind(RETIRED_AT_ONCE)
                .fetch_all(&mut *transaction)
                .await?;
            let step = match results.last() {
                Some(&next) => {
                    sqlx::query(include_str!("sql/delete_results.sql"))
                        .bind(json(results.iter().copied()))
                        .execute(&mut *transaction)
                        .await?;
                    RetireStep::Deleted { results: results.len() as u64, next }
                }
                None => {
                    sqlx::query("DELETE FROM gallery_profiles WHERE id = ?1")
                        .bind(own)
                        .execute(&mut *transaction)
                        .await?;
                    RetireStep::Done
                }
            };
            transaction.commit().await?;
            Ok(step)
        })
        .await
    }
}
