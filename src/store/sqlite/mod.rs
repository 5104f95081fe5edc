//! The store in one `SQLite` file, for one host: any number of processes on it may read and write
//! at a time.
//!
//! Owns the file, its connections and its schema. One connection writes, so that the tasks of a
//! process queue up in order instead of racing for the file's lock; others read beside it (WAL).
//! Knows nothing of how results come about.

mod campaigns;
mod connect;
mod fault;
mod insert;
mod read;
mod rows;
mod sources;
mod write;

use std::time::Duration;

use async_trait::async_trait;
use sqlx::SqlitePool;

use super::{
    Extreme, GallerySummary, MOST_OPEN, PageQuery, Recorded, Store, StoreError, StoredFace,
    StoredImage,
};
use crate::domain::{
    Campaign, CampaignId, CampaignState, GalleryName, ImageUri, JobId, JobRecord, ListedChunk,
    Profile, ProfileId, Selection, SourceName, SourceStamp, SourceStatus,
};
use crate::store::fault::Fault;

/// How long a writer waits for another process's transaction. Ours take milliseconds; a backup or a
/// `VACUUM` takes longer.
const BUSY_TIMEOUT: Duration = Duration::from_secs(30);

/// Results and templates in one `SQLite` file.
pub struct SqliteStore {
    /// A pool of one.
    writer: SqlitePool,
    readers: SqlitePool,
    /// The file, as errors name it.
    place: String,
}

impl SqliteStore {
    /// Opens the store at `url`: `sqlite:<path>`, where a missing file is created for its owner's
    /// eyes only, or `sqlite::memory:`, which is gone when it is closed. Brings an older schema up
    /// to date.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with what to do about it, if the file cannot be opened, is no
    /// database of ours, or comes from a newer version; [`StoreError::Unavailable`] if another
    /// process holds it for too long.
    pub async fn open(url: &str) -> Result<Self, StoreError> {
        Self::open_with(url, BUSY_TIMEOUT).await
    }

    /// Like [`Self::open`], with another limit on the wait for the transactions of other processes.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn open_with(url: &str, busy_timeout: Duration) -> Result<Self, StoreError> {
        connect::open(url, busy_timeout).await
    }

    /// Names this store's file in what went wrong.
    fn located<T>(&self, result: Result<T, Fault>) -> Result<T, StoreError> {
        result.map_err(|fault| fault::at(fault, &self.place))
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn register_profile(&self, profile: &Profile) -> Result<(), StoreError> {
        self.located(write::register_profile(&self.writer, profile).await)
    }

    async fn record(&self, records: &[JobRecord]) -> Result<Vec<Recorded>, StoreError> {
        self.located(write::record(&self.writer, records).await)
    }

    async fn settled(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        selection: &Selection,
        images: &[(ImageUri, Option<SourceStamp>)],
    ) -> Result<Vec<bool>, StoreError> {
        self.located(read::settled(&self.readers, gallery, profile, selection, images).await)
    }

    async fn galleries(&self) -> Result<Vec<(GalleryName, Vec<ProfileId>)>, StoreError> {
        self.located(read::galleries(&self.readers).await)
    }

    async fn profile(&self, id: &ProfileId) -> Result<Option<Profile>, StoreError> {
        self.located(read::profile(&self.readers, id).await)
    }

    async fn summary(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<GallerySummary, StoreError> {
        self.located(read::summary(&self.readers, gallery, profile).await)
    }

    async fn extremes(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        end: Extreme,
        limit: u32,
    ) -> Result<Vec<StoredFace>, StoreError> {
        self.located(read::extremes(&self.readers, gallery, profile, end, limit).await)
    }

    async fn page(&self, query: &PageQuery) -> Result<Vec<StoredImage>, StoreError> {
        self.located(read::page(&self.readers, query).await)
    }

    async fn begin_campaign(&self, campaign: &Campaign) -> Result<(), StoreError> {
        self.located(campaigns::begin(&self.writer, campaign).await)
    }

    async fn note_listed(
        &self,
        campaign: CampaignId,
        chunk: &ListedChunk,
    ) -> Result<(), StoreError> {
        self.located(campaigns::note_listed(&self.writer, campaign, chunk).await)
    }

    async fn end_listing(&self, campaign: CampaignId) -> Result<(), StoreError> {
        self.located(campaigns::end_listing(&self.writer, campaign).await)
    }

    async fn uncounted_jobs(
        &self,
        campaign: CampaignId,
        jobs: &[JobId],
    ) -> Result<Vec<JobId>, StoreError> {
        self.located(campaigns::uncounted(&self.readers, campaign, jobs).await)
    }

    async fn set_campaign_state(
        &self,
        campaign: CampaignId,
        state: CampaignState,
    ) -> Result<bool, StoreError> {
        self.located(campaigns::set_state(&self.writer, campaign, state).await)
    }

    async fn campaign(&self, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        self.located(campaigns::one(&self.readers, id).await)
    }

    async fn campaigns(&self, limit: u32) -> Result<Vec<Campaign>, StoreError> {
        self.located(campaigns::latest(&self.readers, limit, false).await)
    }

    async fn open_campaigns(&self) -> Result<Vec<Campaign>, StoreError> {
        self.located(campaigns::latest(&self.readers, MOST_OPEN, true).await)
    }

    async fn close_campaign(&self, campaign: CampaignId) -> Result<(), StoreError> {
        self.located(campaigns::close(&self.writer, campaign).await)
    }

    async fn set_source_status(
        &self,
        source: &SourceName,
        trouble: Option<&str>,
    ) -> Result<(), StoreError> {
        self.located(sources::note(&self.writer, source, trouble).await)
    }

    async fn source_statuses(&self) -> Result<Vec<SourceStatus>, StoreError> {
        self.located(sources::all(&self.readers).await)
    }

    async fn try_writing(&self) -> Result<(), StoreError> {
        self.located(write::try_writing(&self.writer).await)
    }

    async fn close(&self) {
        // Readers first: the last connection to close, a writer, folds the write-ahead log into the
        // file and removes it.
        self.readers.close().await;
        self.writer.close().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{AlignmentProfile, Mapping, Precision, RecogniserProfile, SerFiq};

    #[tokio::test]
    async fn a_full_disk_is_called_so() {
        let store = SqliteStore::open("sqlite::memory:").await.unwrap();
        // What SQLite reports at its page limit is what it reports on a full disk.
        sqlx::query("PRAGMA max_page_count = 1").execute(&store.writer).await.unwrap();
        let profile = Profile {
            alignment: AlignmentProfile::None,
            recogniser: RecogniserProfile {
                name: "x".repeat(1_000_000),
                sha256: "00".into(),
                precision: Precision::Float32,
            },
            ser_fiq: SerFiq::ClosedForm { dropout: 0.4 },
            mapping: Mapping::Logistic { alpha: 130.0, r: 0.88 },
        };
        let error = store.register_profile(&profile).await.unwrap_err();
        assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
        assert!(error.to_string().contains("is full: free some space"), "{error}");
        assert_eq!(store.profile(&profile.id()).await.unwrap(), None);
    }

    #[tokio::test]
    async fn a_trial_leaves_nothing_behind_and_tells_of_a_file_that_cannot_be_written() {
        let store = SqliteStore::open("sqlite::memory:").await.unwrap();
        store.try_writing().await.unwrap();
        assert_eq!(store.galleries().await.unwrap(), []);
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM galleries")
            .fetch_one(&store.writer)
            .await
            .unwrap();
        assert_eq!(rows, 0);
        // What SQLite reports of a file that it could open for reading alone.
        sqlx::query("PRAGMA query_only = ON").execute(&store.writer).await.unwrap();
        let error = store.try_writing().await.unwrap_err();
        assert!(matches!(error, StoreError::Unusable(_)), "{error:?}");
        assert!(error.to_string().contains("cannot be written"), "{error}");
    }
}
