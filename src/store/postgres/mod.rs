//! The store in Postgres with pgvector, for a fleet: any number of workers on any number of hosts
//! write to it at a time.
//!
//! Owns the connections and the schema. Whoever records holds the rows of its images' sources, in
//! the order of their keys: two workers with the same image go one after the other, all others side
//! by side. Knows nothing of how results come about.

mod campaigns;
mod connect;
mod fault;
mod index;
mod insert;
mod read;
mod rights;
mod rows;
mod sources;
mod write;

use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use sqlx::PgPool;
use tokio::time::timeout;

use super::{
    Extreme, GallerySummary, MOST_OPEN, PageQuery, Recorded, Store, StoreError, StoredFace,
    StoredImage,
};
use crate::domain::{
    Campaign, CampaignId, CampaignState, GalleryName, ImageUri, JobId, JobRecord, ListedChunk,
    Profile, ProfileId, Selection, SourceName, SourceStamp, SourceStatus,
};
use crate::store::fault::Fault;

/// How long an answer may take before the server counts as away, which it may be without a word: a
/// network that drops packets breaks no connection. To a trial of rights, to what workers wait for,
/// and to what reads a whole gallery (a little more than a statement may take).
const TRIAL: Duration = Duration::from_secs(5);
const WRITE: Duration = Duration::from_secs(60);
const READ: Duration = Duration::from_secs(130);

/// Results and templates in a Postgres database.
pub struct PostgresStore {
    pool: PgPool,
    /// The server and database, as errors name them.
    place: String,
}

impl PostgresStore {
    /// Opens the store at `url` (`postgres://user:password@host/database`, with what libpq's URLs
    /// may say, `sslmode` among it) with at most `connections`. An empty schema, or one of an older
    /// version, is brought up to date if the role may do that.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with what to do about it: a wrong URL or password, a server without
    /// pgvector, a schema that must be migrated by another role or comes from a newer version;
    /// [`StoreError::Unavailable`] if the server does not answer.
    pub async fn open(url: &str, connections: u32) -> Result<Self, StoreError> {
        connect::open(url, connections).await
    }

    /// Brings the schema up to date, and gives each profile's templates their index if they have
    /// none, beside whoever records. Returns how many were indexed. For the role that owns the
    /// schema.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn migrate(url: &str) -> Result<u32, StoreError> {
        connect::migrate(url).await
    }

    /// Waits for an answer no longer than `most`, and names this store in what went wrong.
    fn answer<'a, T>(
        &'a self,
        most: Duration,
        work: impl Future<Output = Result<T, Fault>> + Send + 'a,
    ) -> BoxFuture<'a, Result<T, StoreError>> {
        let answer = timeout(most, work);
        Box::pin(async move {
            match answer.await {
                Ok(answer) => answer.map_err(|fault| fault::at(fault, &self.place)),
                Err(_) => Err(StoreError::Unavailable(format!(
                    "{} did not answer within {} s",
                    self.place,
                    most.as_secs()
                ))),
            }
        })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn register_profile(&self, profile: &Profile) -> Result<(), StoreError> {
        self.answer(WRITE, write::register_profile(&self.pool, profile)).await
    }

    async fn record(&self, records: &[JobRecord]) -> Result<Vec<Recorded>, StoreError> {
        self.answer(WRITE, write::record(&self.pool, records)).await
    }

    async fn settled(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        selection: &Selection,
        images: &[(ImageUri, Option<SourceStamp>)],
    ) -> Result<Vec<bool>, StoreError> {
        self.answer(READ, read::settled(&self.pool, gallery, profile, selection, images)).await
    }

    async fn galleries(&self) -> Result<Vec<(GalleryName, Vec<ProfileId>)>, StoreError> {
        self.answer(READ, read::galleries(&self.pool)).await
    }

    async fn profile(&self, id: &ProfileId) -> Result<Option<Profile>, StoreError> {
        self.answer(READ, read::profile(&self.pool, id)).await
    }

    async fn summary(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<GallerySummary, StoreError> {
        self.answer(READ, read::summary(&self.pool, gallery, profile)).await
    }

    async fn extremes(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        end: Extreme,
        limit: u32,
    ) -> Result<Vec<StoredFace>, StoreError> {
        self.answer(READ, read::extremes(&self.pool, gallery, profile, end, limit)).await
    }

    async fn page(&self, query: &PageQuery) -> Result<Vec<StoredImage>, StoreError> {
        self.answer(READ, read::page(&self.pool, query)).await
    }

    async fn begin_campaign(&self, campaign: &Campaign) -> Result<(), StoreError> {
        self.answer(WRITE, campaigns::begin(&self.pool, campaign)).await
    }

    async fn note_listed(
        &self,
        campaign: CampaignId,
        chunk: &ListedChunk,
    ) -> Result<(), StoreError> {
        self.answer(WRITE, campaigns::note_listed(&self.pool, campaign, chunk)).await
    }

    async fn end_listing(&self, campaign: CampaignId) -> Result<(), StoreError> {
        self.answer(WRITE, campaigns::end_listing(&self.pool, campaign)).await
    }

    async fn uncounted_jobs(
        &self,
        campaign: CampaignId,
        jobs: &[JobId],
    ) -> Result<Vec<JobId>, StoreError> {
        self.answer(READ, campaigns::uncounted(&self.pool, campaign, jobs)).await
    }

    async fn set_campaign_state(
        &self,
        campaign: CampaignId,
        state: CampaignState,
    ) -> Result<bool, StoreError> {
        self.answer(WRITE, campaigns::set_state(&self.pool, campaign, state)).await
    }

    async fn campaign(&self, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        self.answer(READ, campaigns::one(&self.pool, id)).await
    }

    async fn campaigns(&self, limit: u32) -> Result<Vec<Campaign>, StoreError> {
        self.answer(READ, campaigns::latest(&self.pool, limit, false)).await
    }

    async fn open_campaigns(&self) -> Result<Vec<Campaign>, StoreError> {
        self.answer(READ, campaigns::latest(&self.pool, MOST_OPEN, true)).await
    }

    async fn close_campaign(&self, campaign: CampaignId) -> Result<(), StoreError> {
        self.answer(WRITE, campaigns::close(&self.pool, campaign)).await
    }

    async fn set_source_status(
        &self,
        source: &SourceName,
        trouble: Option<&str>,
    ) -> Result<(), StoreError> {
        self.answer(WRITE, sources::note(&self.pool, source, trouble)).await
    }

    async fn source_statuses(&self) -> Result<Vec<SourceStatus>, StoreError> {
        self.answer(READ, sources::all(&self.pool)).await
    }

    async fn try_writing(&self) -> Result<(), StoreError> {
        self.answer(TRIAL, rights::try_all(&self.pool)).await
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
