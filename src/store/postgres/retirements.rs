//! The end of profiles. Whoever retires a profile of a gallery holds the same lock as whoever
//! activates one.

use async_trait::async_trait;

use super::batch::PostgresTables;
use super::profiles::{active_profile, lock};
use super::reading::find_scope;
use super::results::{READ_COMMITTED, tried};
use super::{PostgresStore, READ};
use crate::domain::{GalleryName, ProfileId};
use crate::store::erasing::ErasureTables;
use crate::store::fault::Fault;
use crate::store::profiles::final_outcomes;
use crate::store::rows::SoleResultsRow;
use crate::store::{RETIRED_AT_ONCE, RetireStep, Retirements, SoleResults, StoreError};

#[async_trait]
impl Retirements for PostgresStore {
    async fn sole_results(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<SoleResults, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            let Some(own) = find_scope(&mut snapshot, gallery, profile).await? else {
                return Ok(SoleResults::default());
            };
            let row: SoleResultsRow = sqlx::query_as(include_str!("sql/sole_results.sql"))
                .bind(own)
                .bind(final_outcomes())
                .fetch_one(&mut *snapshot)
                .await?;
            snapshot.commit().await?;
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
        let retire = || async {
            let retired = self.try_retire(gallery, profile, after).await;
            retired.map_err(|fault| owner_only(fault, "retire a profile"))
        };
        self.answer(READ, tried(retire)).await
    }
}

impl PostgresStore {
    async fn try_retire(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        after: i64,
    ) -> Result<RetireStep, Fault> {
        let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
        lock(&mut transaction, gallery).await?;
        let Some(own) = find_scope(&mut transaction, gallery, profile).await? else {
            // Perhaps whoever retired it did not come to the end.
            transaction.rollback().await?;
            return self.try_end(gallery, profile).await;
        };
        let active = active_profile(&mut transaction, gallery).await?;
        if active.is_some_and(|active| active.gallery_profile_id == own) {
            return Ok(RetireStep::Active);
        }
        let results: Vec<i64> = sqlx::query_scalar(include_str!("sql/retired_results.sql"))
            .bind(own)
            .bind(after)
            .bind(i64::from(RETIRED_AT_ONCE))
            .fetch_all(&mut *transaction)
            .await?;
        if let Some(&next) = results.last() {
            // Here and not only with the partition at the end: another gallery may get results of
            // the profile before that.
            sqlx::query(include_str!("sql/delete_templates.sql"))
                .bind(&results)
                .bind(vec![profile.as_str()])
                .execute(&mut *transaction)
                .await?;
            // Faces go with them.
            sqlx::query("DELETE FROM results WHERE id = ANY ($1::bigint[])")
                .bind(&results)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            return Ok(RetireStep::Deleted { results: results.len() as u64, next });
        }
        transaction.rollback().await?;
        self.try_end(gallery, profile).await
    }

    /// Removes a profile without results from a gallery, and its templates if no gallery has it.
    /// Nobody records meanwhile: whoever recorded its first result between the look and the removal
    /// would lose it.
    async fn try_end(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<RetireStep, Fault> {
        let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
        PostgresTables::new(&mut transaction).keep_out().await?;
        lock(&mut transaction, gallery).await?;
        if let Some(own) = find_scope(&mut transaction, gallery, profile).await? {
            let active = active_profile(&mut transaction, gallery).await?;
            if active.is_some_and(|active| active.gallery_profile_id == own) {
                return Ok(RetireStep::Active);
            }
            let results: Vec<i64> = sqlx::query_scalar(include_str!("sql/retired_results.sql"))
                .bind(own)
                .bind(0_i64)
                .bind(1_i64)
                .fetch_all(&mut *transaction)
                .await?;
            if !results.is_empty() {
                // They came meanwhile.
                return Ok(RetireStep::Deleted { results: 0, next: 0 });
            }
            sqlx::query("DELETE FROM gallery_profiles WHERE id = $1")
                .bind(own)
                .execute(&mut *transaction)
                .await?;
        }
        sqlx::query("SELECT drop_unused_templates($1)")
            .bind(profile.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(RetireStep::Done)
    }
}

/// Whether the role lacks a right.
fn is_forbidden(fault: &Fault) -> bool {
    let Fault::Database(error) = fault else { return false };
    error.as_database_error().is_some_and(|reported| reported.code().as_deref() == Some("42501"))
}

/// The fault for a role that may not do `what`.
pub(super) fn owner_only(fault: Fault, what: &str) -> Fault {
    if !is_forbidden(&fault) {
        return fault;
    }
    let reason = format!(
        "only the role that owns the schema may {what}: set store.url to its URL for this command \
            (docs/postgres.md)"
    );
    StoreError::Unusable(reason).into()
}
