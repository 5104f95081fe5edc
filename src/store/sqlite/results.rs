//! Recording what jobs found.

use async_trait::async_trait;

use super::batch::SqliteTables;
use super::{SqliteStore, json, now_ms};
use crate::domain::{
    GalleryName, ImageUri, JobRecord, LabelledImage, OutcomeKind, Profile, ProfileId, Selection,
    SourceStamp, SubjectName,
};
use crate::store::encoding::{definition, selection_key};
use crate::store::erasing::without_erased;
use crate::store::rows::corrupt;
use crate::store::summary::flags;
use crate::store::{Recorded, Results, StoreError, batch};

#[async_trait]
impl Results for SqliteStore {
    async fn register_profile(&self, profile: &Profile) -> Result<(), StoreError> {
        self.answer(async {
            sqlx::query(include_str!("sql/insert_profile.sql"))
                .bind(profile.id().as_str())
                .bind(definition(profile)?)
                .bind(now_ms())
                .execute(&self.writer)
                .await?;
            Ok(())
        })
        .await
    }

    async fn record(&self, records: &[JobRecord]) -> Result<Vec<Recorded>, StoreError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        self.answer(async {
            // Takes the write lock at once: a transaction that began by reading would fail if
            // another process wrote before this one does.
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let recorded = batch::record(&mut SqliteTables(&mut transaction), records).await?;
            transaction.commit().await?;
            Ok(recorded)
        })
        .await
    }

    async fn up_to_date(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        selection: &Selection,
        images: &[LabelledImage],
    ) -> Result<Vec<bool>, StoreError> {
        let listed = json(images.iter().map(|image| {
            let stamp = image.stamp.as_ref().map(SourceStamp::as_str);
            let hash = image.expected_hash.map(|hash| hash.to_string());
            serde_json::json!([image.image.as_str(), stamp, hash])
        }));
        let finals = OutcomeKind::ALL.into_iter().filter(|kind| kind.is_final());
        self.answer(async {
            let indexes: String = sqlx::query_scalar(include_str!("sql/up_to_date.sql"))
                .bind(gallery.as_str())
                .bind(profile.as_str())
                .bind(listed)
                .bind(selection_key(selection))
                .bind(json(finals.map(OutcomeKind::as_str)))
                .fetch_one(&self.readers)
                .await?;
            let indexes: Vec<i64> = serde_json::from_str(&indexes).map_err(corrupt)?;
            Ok(flags(images.len(), indexes))
        })
        .await
    }

    async fn name_subjects(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        subjects: &[(ImageUri, SubjectName)],
    ) -> Result<(), StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let mut tables = SqliteTables(&mut transaction);
            let subjects = without_erased(&mut tables, gallery, subjects).await?;
            let pairs = subjects.iter().map(|(uri, subject)| [uri.as_str(), subject.as_str()]);
            sqlx::query(include_str!("sql/name_subjects.sql"))
                .bind(gallery.as_str())
                .bind(profile.as_str())
                .bind(json(pairs))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(())
        })
        .await
    }
}
