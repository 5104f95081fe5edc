//! Recording what jobs found. A batch takes the same number of statements, whatever its size.

use async_trait::async_trait;
use uuid::Uuid;

use super::batch::PostgresTables;
use super::{PostgresStore, READ, WRITE, column, fault, uri_key};
use crate::domain::{
    GalleryName, ImageUri, JobRecord, LabelledImage, OutcomeKind, Profile, ProfileId, Selection,
    SourceStamp, SubjectName,
};
use crate::store::encoding::{definition, selection_key};
use crate::store::erasing::{TombstoneTables, without_erased};
use crate::store::fault::Fault;
use crate::store::summary::flags;
use crate::store::{Recorded, Results, StoreError, batch};

/// How often a batch is tried if another transaction interferes. The order of locks should prevent
/// it; a transaction of an administrator may still do it.
const TRIES: usize = 3;

/// Begins a transaction that takes locks: each statement must see what was committed while it
/// waited for a lock, whatever the default of the database is.
pub(super) const READ_COMMITTED: &str = "BEGIN ISOLATION LEVEL READ COMMITTED";

#[async_trait]
impl Results for PostgresStore {
    async fn register_profile(&self, profile: &Profile) -> Result<(), StoreError> {
        self.answer(WRITE, async {
            sqlx::query("SELECT add_profile($1, $2)")
                .bind(profile.id().as_str())
                .bind(definition(profile)?)
                .execute(&self.pool)
                .await?;
            Ok(())
        })
        .await
    }

    async fn record(&self, records: &[JobRecord]) -> Result<Vec<Recorded>, StoreError> {
        if records.is_empty() {
            return Ok(Vec::new());
        }
        self.answer(WRITE, tried(|| self.try_record(records))).await
    }

    async fn up_to_date(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        selection: &Selection,
        images: &[LabelledImage],
    ) -> Result<Vec<bool>, StoreError> {
        let keys: Vec<Uuid> = column(images, |image| uri_key(&image.image));
        let stamps: Vec<Option<&str>> =
            column(images, |image| image.stamp.as_ref().map(SourceStamp::as_str));
        let hashes: Vec<Option<Vec<u8>>> =
            column(images, |image| image.expected_hash.map(|hash| hash.0.to_vec()));
        let finals = OutcomeKind::ALL.into_iter().filter(|kind| kind.is_final());
        let finals: Vec<&str> = finals.map(OutcomeKind::as_str).collect();
        self.answer(READ, async {
            let indexes: Vec<i64> = sqlx::query_scalar(include_str!("sql/up_to_date.sql"))
                .bind(gallery.as_str())
                .bind(profile.as_str())
                .bind(keys)
                .bind(stamps)
                .bind(selection_key(selection))
                .bind(finals)
                .bind(hashes)
                .fetch_all(&self.pool)
                .await?;
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
        let update = || async {
            let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
            let mut tables = PostgresTables::new(&mut transaction);
            tables.hold_off_erasures().await?;
            let subjects = without_erased(&mut tables, gallery, subjects).await?;
            let keys: Vec<Uuid> = column(&subjects, |(uri, _)| uri_key(uri));
            let names: Vec<&str> = column(&subjects, |(_, subject)| subject.as_str());
            sqlx::query(include_str!("sql/name_subjects.sql"))
                .bind(gallery.as_str())
                .bind(profile.as_str())
                .bind(keys)
                .bind(names)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            Ok(())
        };
        self.answer(WRITE, tried(update)).await
    }
}

/// Writes, and again if another transaction interferes.
pub(super) async fn tried<T, F>(write: impl Fn() -> F) -> Result<T, Fault>
where
    F: Future<Output = Result<T, Fault>>,
{
    for _ in 1..TRIES {
        match write().await {
            Err(fault) if fault::is_race(&fault) => (),
            ended => return ended,
        }
    }
    write().await
}

impl PostgresStore {
    async fn try_record(&self, records: &[JobRecord]) -> Result<Vec<Recorded>, Fault> {
        let mut transaction = self.pool.begin_with(READ_COMMITTED).await?;
        let recorded = batch::record(&mut PostgresTables::new(&mut transaction), records).await?;
        transaction.commit().await?;
        Ok(recorded)
    }
}
