//! Verdicts about images.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::batch::SqliteTables;
use super::profiles::active_profile;
use super::{SqliteStore, insert, json, now_ms};
use crate::domain::{
    Curated, CurationId, GalleryName, ImageId, ProfileId, SubjectName, Verdict, VerdictId,
    VerdictReason,
};
use crate::store::fault::Fault;
use crate::store::judging::{
    ChangeOfPlaces, NewImageState, VerdictTables, back, columns, curated, judge,
};
use crate::store::rows::{JudgedImageRow, LiveVerdictRow, StoredVerdictRow, parsed};
use crate::store::{Curation, Judged, NewCuration, StoreError, StoredVerdict, VerdictQuery};

#[async_trait]
impl Curation for SqliteStore {
    async fn judge(&self, new: &NewCuration) -> Result<Judged, StoreError> {
        self.answer(async {
            let mut transaction = self.writer.begin_with("BEGIN IMMEDIATE").await?;
            let judged = judge(&mut SqliteTables(&mut transaction), new).await?;
            transaction.commit().await?;
            Ok(judged)
        })
        .await
    }

    async fn verdicts(&self, query: &VerdictQuery) -> Result<Vec<StoredVerdict>, StoreError> {
        self.answer(async {
            let rows: Vec<StoredVerdictRow> = sqlx::query_as(include_str!("sql/verdicts.sql"))
                .bind(query.gallery.as_str())
                .bind(query.after.map(|VerdictId(id)| id))
                .bind(query.image.map(|ImageId(id)| id))
                .bind(query.curation.map(|CurationId(id)| id))
                .bind(query.limit)
                .fetch_all(&self.readers)
                .await?;
            rows.into_iter().map(StoredVerdictRow::verdict).collect()
        })
        .await
    }

    async fn curated(
        &self,
        gallery: &GalleryName,
    ) -> Result<BTreeMap<ImageId, Curated>, StoreError> {
        self.answer(async {
            let rows = sqlx::query_as(include_str!("sql/live_verdicts.sql"))
                .bind(gallery.as_str())
                .bind(None::<String>)
                .fetch_all(&self.readers)
                .await?;
            curated(rows)
        })
        .await
    }

    async fn people(&self, gallery: &GalleryName) -> Result<BTreeSet<SubjectName>, StoreError> {
        self.answer(async {
            let names: Vec<String> = sqlx::query_scalar(include_str!("sql/people.sql"))
                .bind(gallery.as_str())
                .fetch_all(&self.readers)
                .await?;
            names.iter().map(|name| parsed(name)).collect()
        })
        .await
    }
}

/// The transaction holds the write lock of the file.
impl VerdictTables for SqliteTables<'_> {
    async fn lock_places(&mut self, _: &[i64]) -> Result<(), Fault> {
        Ok(())
    }

    async fn judged_images(
        &mut self,
        gallery: &GalleryName,
        images: &[i64],
    ) -> Result<Vec<JudgedImageRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/judged_images.sql"))
            .bind(gallery.as_str())
            .bind(json(images.iter().copied()))
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn live_verdicts(
        &mut self,
        gallery: &GalleryName,
        images: &[i64],
    ) -> Result<Vec<LiveVerdictRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/live_verdicts.sql"))
            .bind(gallery.as_str())
            .bind(json(images.iter().copied()))
            .fetch_all(&mut *self.0)
            .await?)
    }

    async fn add_curation(&mut self, new: &NewCuration) -> Result<i64, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/insert_curation.sql"))
            .bind(new.gallery.as_str())
            .bind(new.by.as_str())
            .bind(new.reason.as_ref().map(VerdictReason::as_str))
            .bind(now_ms())
            .fetch_one(&mut *self.0)
            .await?)
    }

    async fn add_verdicts(
        &mut self,
        curation: i64,
        verdicts: &[(ImageId, &Verdict)],
    ) -> Result<(), Fault> {
        let sql = include_str!("sql/insert_verdicts.sql");
        insert::insert(self.0, sql, verdicts, |mut row, (image, verdict)| {
            let (subject, other, undoes) = columns(verdict);
            row.push_bind(curation)
                .push_bind(image.0)
                .push_bind(verdict.as_str())
                .push_bind(subject.map(str::to_owned))
                .push_bind(other)
                .push_bind(undoes);
        })
        .await
    }

    async fn active_scope(
        &mut self,
        gallery: &GalleryName,
    ) -> Result<Option<(i64, ProfileId)>, Fault> {
        let active = active_profile(&mut *self.0, gallery).await?;
        active.map(|row| Ok((row.gallery_profile_id, parsed(&row.profile_id)?))).transpose()
    }

    async fn set_states(&mut self, states: &[NewImageState]) -> Result<Vec<(i64, i64)>, Fault> {
        let rows = states.iter().map(|state| {
            let name = state.subject.as_ref().map(SubjectName::as_str);
            serde_json::json!([state.image, state.left_out, name, state.gone])
        });
        sqlx::query(include_str!("sql/set_image_states.sql"))
            .bind(json(rows))
            .execute(&mut *self.0)
            .await?;
        self.judge_references(&states.iter().map(|state| state.image).collect::<Vec<_>>()).await
    }

    async fn end_missing(&mut self, images: &[i64]) -> Result<(), Fault> {
        self.update(include_str!("sql/end_missing.sql"), images).await
    }

    async fn change_places(&mut self, pairs: &[ChangeOfPlaces]) -> Result<(), Fault> {
        let pairs = pairs.iter().map(|pair| {
            let hash = blake3::Hash::from_bytes(pair.hash).to_hex();
            serde_json::json!([pair.moved, pair.other, hash.as_str()])
        });
        let pairs = json(pairs);
        for step in [
            include_str!("sql/free_places.sql"),
            include_str!("sql/change_places.sql"),
            include_str!("sql/end_change_of_places.sql"),
            include_str!("sql/change_stamps.sql"),
            include_str!("sql/move_results.sql"),
            include_str!("sql/change_missing.sql"),
        ] {
            sqlx::query(step).bind(&pairs).execute(&mut *self.0).await?;
        }
        Ok(())
    }
}

impl SqliteTables<'_> {
    /// Writes what follows from the verdicts about images for their references.
    /// The subjects and images of those that count again.
    pub(super) async fn judge_references(
        &mut self,
        images: &[i64],
    ) -> Result<Vec<(i64, i64)>, Fault> {
        let judged: Vec<(i64, i64, bool)> =
            sqlx::query_as(include_str!("sql/judge_references.sql"))
                .bind(json(images.iter().copied()))
                .bind(now_ms())
                .fetch_all(&mut *self.0)
                .await?;
        Ok(back(judged))
    }
}
