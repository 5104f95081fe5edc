//! The profiles of galleries.

use async_trait::async_trait;
use sqlx::SqliteConnection;

use super::reading::find_scope;
use super::{SqliteStore, json, now_ms};
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
impl Profiles for SqliteStore {
    async fn profiles(&self) -> Result<Vec<StoredProfile>, StoreError> {
        self.answer(async {
            let rows: Vec<StoredProfileRow> =
                sqlx::query_as(include_str!("sql/profiles.sql")).fetch_all(&self.readers).await?;
            rows.into_iter().map(StoredProfileRow::profile).collect()
        })
        .await
    }

    async fn gallery_profiles(&self) -> Result<Vec<GalleryProfile>, StoreError> {
        self.answer(async {
            let rows: Vec<GalleryProfileRow> =
                sqlx::query_as(include_str!("sql/gallery_profiles.sql"))
                    .fetch_all(&self.readers)
                    .await?;
            rows.into_iter().map(GalleryProfileRow::gallery_profile).collect()
        })
        .await
    }

    async fn active_profile(&self, gallery: &GalleryName) -> Result<Option<ProfileId>, StoreError> {
        self.answer(async {
            let mut connection = self.readers.acquire().await?;
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
        self.answer(async {
            let mut snapshot = self.readers.begin().await?;
            let Some(active) = active_profile(&mut snapshot, gallery).await? else {
                return Ok(None);
            };
            // Without any result under the profile, it covers nothing.
            let own = find_scope(&mut snapshot, gallery, profile).await?.unwrap_or_default();
            let finals = json(final_outcomes());
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
            Ok(Some(ProfileCoverage {
                active: parsed(&active.profile_id)?,
                coverage: coverage(&images, &references)?,
                attempts: attempts(failed)?,
            }))
        })
        .await
    }

    async fn activations(&self) -> Result<Vec<Activation>, StoreError> {
        self.answer(async {
            let rows: Vec<ActivationRow> = sqlx::query_as(include_str!("sql/activations.sql"))
                .fetch_all(&self.readers)
                .await?;
            rows.into_iter().map(ActivationRow::activation).collect()
        })
        .await
    }

    async fn activate(&self, new: &NewActivation) -> Result<bool, StoreError> {
        self.answer(async {
            let count = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
            let NewActivation { gallery, profile, instead_of, coverage, by, forced } = new;
            // One statement, on the only connection that writes, with the file's lock.
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
                .bind(now_ms())
                .execute(&self.writer)
                .await?;
            Ok(written.rows_affected() > 0)
        })
        .await
    }
}

/// The active profile of a gallery.
pub(super) async fn active_profile(
    connection: &mut SqliteConnection,
    gallery: &GalleryName,
) -> Result<Option<ActiveProfileRow>, Fault> {
    Ok(sqlx::query_as(include_str!("sql/active_profile.sql"))
        .bind(gallery.as_str())
        .fetch_optional(connection)
        .await?)
}
