//! The profiles of galleries. Whoever activates or retires a profile of a gallery holds a lock with
//! the gallery's name.

use async_trait::async_trait;
use sqlx::PgConnection;

use super::reading::find_scope;
use super::results::{READ_COMMITTED, tried};
use super::{PostgresStore, READ, WRITE};
use crate::domain::{Activation, GalleryName, ProfileId};
use crate::store::fault::Fault;
use crate::store::profiles::final_outcomes;
use crate::store::rows::{
    ActivationRow, ActiveProfileRow, GalleryProfileRow, StoredProfileRow, attempts, coverage,
    parsed,
};
use crate::store::{
    GalleryProfile, NewActivation, ProfileCoverage, Profiles, StoreError, StoredProfile,
};

#[async_trait]
impl Profiles for PostgresStore {
    async fn profiles(&self) -> Result<Vec<StoredProfile>, StoreError> {
        self.answer(READ, async {
            let rows: Vec<StoredProfileRow> =
                sqlx::query_as(include_str!("sql/profiles.sql")).fetch_all(&self.pool).await?;
            rows.into_iter().map(StoredProfileRow::profile).collect()
        })
        .await
    }

    async fn gallery_profiles(&self) -> Result<Vec<GalleryProfile>, StoreError> {
        self.answer(READ, async {
            let rows: Vec<GalleryProfileRow> =
                sqlx::query_as(include_str!("sql/gallery_profiles.sql"))
                    .fetch_all(&self.pool)
                    .await?;
            rows.into_iter().map(GalleryProfileRow::gallery_profile).collect()
        })
        .await
    }

    async fn active_profile(&self, gallery: &GalleryName) -> Result<Option<ProfileId>, StoreError> {
        self.answer(READ, async {
            let mut connection = self.pool.acquire().await?;
            let active = active_profile(&mut connection, gallery).await?;
            active.map(|active| parsed(&active.profile_id)).transpose()
        })
        .await
    }

    async fn coverage(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<Option<ProfileCoverage>, StoreError> {
        self.answer(READ, async {
            let mut snapshot = self.begin_snapshot().await?;
            let Some(active) = active_profile(&mut snapshot, gallery).await? else {
                return Ok(None);
            };
            // Without any result under the profile, it covers nothing.
            let own = find_scope(&mut snapshot, gallery, profile).await?.unwrap_or_default();
            let finals = final_outcomes();
            let (images, references) = if own == active.gallery_profile_id {
                let images = sqlx::query_as(include_str!("sql/known_images.sql"))
                    .bind(own)
                    .bind(&finals)
                    .fetch_one(&mut *snapshot);
                let images = images.await?;
                let references = sqlx::query_as(include_str!("sql/known_references.sql"))
                    .bind(active.gallery_id)
                    .bind(own)
                    .fetch_one(&mut *snapshot);
                (images, references.await?)
            } else {
                let images = sqlx::query_as(include_str!("sql/covered_images.sql"))
                    .bind(active.gallery_profile_id)
                    .bind(own)
                    .bind(&finals)
                    .fetch_one(&mut *snapshot);
                let images = images.await?;
                let references = sqlx::query_as(include_str!("sql/covered_references.sql"))
                    .bind(active.gallery_id)
                    .bind(active.gallery_profile_id)
                    .bind(own)
                    .fetch_one(&mut *snapshot);
                (images, references.await?)
            };
            let failed = sqlx::query_as(include_str!("sql/failed_attempts.sql"))
                .bind(active.gallery_profile_id)
                .bind(own)
                .bind(finals)
                .fetch_all(&mut *snapshot)
                .await?;
            snapshot.commit().await?;
            Ok(Some(ProfileCoverage {
                active: parsed(&active.profile_id)?,
                coverage: coverage(&images, &references)?,
                attempts: attempts(failed)?,
            }))
        })
        .await
    }

    async fn activations(&self) -> Result<Vec<Activation>, StoreError> {
        self.answer(READ, async {
            let rows: Vec<ActivationRow> =
                sqlx::query_as(include_str!("sql/activations.sql")).fetch_all(&self.pool).await?;
            rows.into_iter().map(ActivationRow::activation).collect()
        })
        .await
    }

    async fn activate(&self, new: &NewActivation) -> Result<bool, StoreError> {
        let activate = || async {
            let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let NewActivation { gallery, profile, instead_of, coverage, by, forced } = new;
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            lock(&mut transaction, gallery).await?;
            let written = sqlx::query(include_str!("sql/insert_activation.sql"))
                .bind(gallery.as_str())
                .bind(profile.as_str())
                .bind(instead_of.as_str())
                .bind(by.as_str())
                .bind(forced)
                .bind(count(coverage.images))
                .bind(count(coverage.covered))
                .bind(count(coverage.references))
                .bind(count(coverage.lost_references))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(written.rows_affected() > 0)
        };
        self.answer(WRITE, tried(activate)).await
    }
}

/// Locks the profiles of a gallery until the end of the transaction.
pub(super) async fn lock(
    connection: &mut PgConnection,
    gallery: &GalleryName,
) -> Result<(), Fault> {
    sqlx::query("SELECT pg_advisory_xact_lock(hashtextextended('facefleet.profiles.' || $1, 0))")
        .bind(gallery.as_str())
        .execute(connection)
        .await?;
    Ok(())
}

/// The active profile of a gallery.
pub(super) async fn active_profile(
    connection: &mut PgConnection,
    gallery: &GalleryName,
) -> Result<Option<ActiveProfileRow>, Fault> {
    Ok(sqlx::query_as(include_str!("sql/active_profile.sql"))
        .bind(gallery.as_str())
        .fetch_optional(connection)
        .await?)
}
