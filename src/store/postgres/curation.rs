//! Verdicts about images. Whoever adds some locks the rows of their images first, and before them
//! the places of images that change places, as whoever records does. Where a record and a verdict
//! wait for each other all the same, Postgres ends one of them, which is tried again.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::batch::PostgresTables;
use super::profiles::active_profile;
use super::results::{READ_COMMITTED, tried};
use super::{PostgresStore, READ, WRITE, column};
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
impl Curation for PostgresStore {
    async fn judge(&self, new: &NewCuration) -> Result<Judged, StoreError> {
        let write = || async {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            let judged = judge(&mut PostgresTables::new(&mut transaction), new).await?;
            transaction.commit().await?;
            Ok(judged)
        };
        self.answer(WRITE, tried(write)).await
    }

    async fn verdicts(&self, query: &VerdictQuery) -> Result<Vec<StoredVerdict>, StoreError> {
        self.answer(READ, async {
            let rows: Vec<StoredVerdictRow> = sqlx::query_as(include_str!("sql/verdicts.sql"))
                .bind(query.gallery.as_str())
                .bind(query.after.map(|VerdictId(id)| id))
                .bind(query.image.map(|ImageId(id)| id))
                .bind(query.curation.map(|CurationId(id)| id))
                .bind(i64::from(query.limit))
                .fetch_all(&self.pool)
                .await?;
            rows.into_iter().map(StoredVerdictRow::verdict).collect()
        })
        .await
    }

    async fn curated(
        &self,
        gallery: &GalleryName,
    ) -> Result<BTreeMap<ImageId, Curated>, StoreError> {
        self.answer(READ, async {
            let rows = sqlx::query_as(include_str!("sql/live_verdicts.sql"))
                .bind(gallery.as_str())
                .bind(None::<Vec<i64>>)
                .fetch_all(&self.pool)
                .await?;
            curated(rows)
        })
        .await
    }

    async fn people(&self, gallery: &GalleryName) -> Result<BTreeSet<SubjectName>, StoreError> {
        self.answer(READ, async {
            let names: Vec<String> = sqlx::query_scalar(include_str!("sql/people.sql"))
                .bind(gallery.as_str())
                .fetch_all(&self.pool)
                .await?;
            names.iter().map(|name| parsed(name)).collect()
        })
        .await
    }
}

impl VerdictTables for PostgresTables<'_> {
    async fn lock_places(&mut self, images: &[i64]) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/lock_places.sql"))
            .bind(images)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn judged_images(
        &mut self,
        gallery: &GalleryName,
        images: &[i64],
    ) -> Result<Vec<JudgedImageRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/judged_images.sql"))
            .bind(gallery.as_str())
            .bind(images)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn live_verdicts(
        &mut self,
        gallery: &GalleryName,
        images: &[i64],
    ) -> Result<Vec<LiveVerdictRow>, Fault> {
        Ok(sqlx::query_as(include_str!("sql/live_verdicts.sql"))
            .bind(gallery.as_str())
            .bind(images)
            .fetch_all(&mut *self.connection)
            .await?)
    }

    async fn add_curation(&mut self, new: &NewCuration) -> Result<i64, Fault> {
        Ok(sqlx::query_scalar(include_str!("sql/insert_curation.sql"))
            .bind(new.gallery.as_str())
            .bind(new.by.as_str())
            .bind(new.reason.as_ref().map(VerdictReason::as_str))
            .fetch_one(&mut *self.connection)
            .await?)
    }

    async fn add_verdicts(
        &mut self,
        curation: i64,
        verdicts: &[(ImageId, &Verdict)],
    ) -> Result<(), Fault> {
        sqlx::query(include_str!("sql/insert_verdicts.sql"))
            .bind(curation)
            .bind(column(verdicts, |(image, _)| image.0))
            .bind(column(verdicts, |(_, verdict)| verdict.as_str()))
            .bind(column(verdicts, |(_, verdict)| columns(verdict).0))
            .bind(column(verdicts, |(_, verdict)| columns(verdict).1))
            .bind(column(verdicts, |(_, verdict)| columns(verdict).2))
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn active_scope(
        &mut self,
        gallery: &GalleryName,
    ) -> Result<Option<(i64, ProfileId)>, Fault> {
        let active = active_profile(&mut *self.connection, gallery).await?;
        active.map(|row| Ok((row.gallery_profile_id, parsed(&row.profile_id)?))).transpose()
    }

    async fn set_states(&mut self, states: &[NewImageState]) -> Result<Vec<(i64, i64)>, Fault> {
        let images: Vec<i64> = column(states, |state| state.image);
        let name = |state: &NewImageState| {
            state.subject.as_ref().map(|subject| subject.as_str().to_owned())
        };
        sqlx::query(include_str!("sql/set_image_states.sql"))
            .bind(&images)
            .bind(column(states, |state| state.left_out))
            .bind(column(states, name))
            .bind(column(states, |state| state.gone))
            .execute(&mut *self.connection)
            .await?;
        self.judge_references(&images).await
    }

    async fn end_missing(&mut self, images: &[i64]) -> Result<(), Fault> {
        sqlx::query("DELETE FROM missing_images WHERE image_id = ANY ($1)")
            .bind(images)
            .execute(&mut *self.connection)
            .await?;
        Ok(())
    }

    async fn change_places(&mut self, pairs: &[ChangeOfPlaces]) -> Result<(), Fault> {
        let moved: Vec<i64> = column(pairs, |pair| pair.moved);
        let others: Vec<i64> = column(pairs, |pair| pair.other);
        let hashes: Vec<Vec<u8>> = column(pairs, |pair| pair.hash.to_vec());
        for step in [include_str!("sql/free_places.sql"), include_str!("sql/change_places.sql")] {
            sqlx::query(step).bind(&moved).bind(&others).execute(&mut *self.connection).await?;
        }
        sqlx::query(include_str!("sql/end_change_of_places.sql"))
            .bind(&moved)
            .bind(&others)
            .bind(&hashes)
            .execute(&mut *self.connection)
            .await?;
        for step in [
            include_str!("sql/change_stamps.sql"),
            include_str!("sql/move_results.sql"),
            include_str!("sql/change_missing.sql"),
        ] {
            sqlx::query(step).bind(&moved).bind(&others).execute(&mut *self.connection).await?;
        }
        Ok(())
    }
}

impl PostgresTables<'_> {
    /// Writes what follows from the verdicts about images for their references.
    /// The subjects and images of those that count again.
    pub(super) async fn judge_references(
        &mut self,
        images: &[i64],
    ) -> Result<Vec<(i64, i64)>, Fault> {
        let judged: Vec<(i64, i64, bool)> =
            sqlx::query_as(include_str!("sql/judge_references.sql"))
                .bind(images)
                .fetch_all(&mut *self.connection)
                .await?;
        Ok(back(judged))
    }
}
