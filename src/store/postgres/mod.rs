//! The store in Postgres with pgvector, for a fleet: any number of workers on any number of hosts write to it at a time.
//!
//! Owns the connections and the schema. Nobody locks anything up front: two workers that record the same image at once meet at a unique
//! index, and the second one's batch is tried again from the start. Knows nothing of how results come about.

mod campaigns;
mod connect;
mod fault;
mod insert;
mod read;
mod rows;
mod write;

use async_trait::async_trait;
use sqlx::PgPool;

use self::fault::Fault;
use super::{Extreme, PageQuery, Recorded, Store, StoreError, StoredFace, StoredImage, Summary};
use crate::domain::{
    Campaign, CampaignId, CampaignState, GalleryName, ImageUri, JobId, JobRecord, ListedChunk, Profile, ProfileId, Selection,
    SourceStamp,
};

/// Results and templates in a Postgres database.
pub struct PostgresStore {
    pool: PgPool,
    /// The server and database, as errors name them.
    place: String,
}

impl PostgresStore {
    /// Opens the store at `url` (`postgres://user:password@host/database`, with what libpq's URLs may say, `sslmode` among it) with at
    /// most `connections`. An empty schema, or one of an older version, is brought up to date if the role may do that.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] with what to do about it: a wrong URL or password, a server without pgvector, a schema that must be
    /// migrated by another role or comes from a newer version; [`StoreError::Unavailable`] if the server does not answer.
    pub async fn open(url: &str, connections: u32) -> Result<Self, StoreError> {
        connect::open(url, connections).await
    }

    /// Brings the schema up to date, and gives each profile's templates their index if they have none. Returns how many were indexed.
    ///
    /// # Errors
    /// As [`Self::open`].
    pub async fn migrate(url: &str) -> Result<u32, StoreError> {
        connect::migrate(url).await
    }

    /// Names this store in what went wrong.
    fn located<T>(&self, result: Result<T, Fault>) -> Result<T, StoreError> {
        result.map_err(|fault| fault.at(&self.place))
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn register_profile(&self, profile: &Profile) -> Result<(), StoreError> {
        self.located(write::register_profile(&self.pool, profile).await)
    }

    async fn record(&self, records: &[JobRecord]) -> Result<Vec<Recorded>, StoreError> {
        self.located(write::record(&self.pool, records).await)
    }

    async fn settled(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        selection: &Selection,
        images: &[(ImageUri, Option<SourceStamp>)],
    ) -> Result<Vec<bool>, StoreError> {
        self.located(read::settled(&self.pool, gallery, profile, selection, images).await)
    }

    async fn galleries(&self) -> Result<Vec<(GalleryName, Vec<ProfileId>)>, StoreError> {
        self.located(read::galleries(&self.pool).await)
    }

    async fn profile(&self, id: &ProfileId) -> Result<Option<Profile>, StoreError> {
        self.located(read::profile(&self.pool, id).await)
    }

    async fn summary(&self, gallery: &GalleryName, profile: &ProfileId) -> Result<Summary, StoreError> {
        self.located(read::summary(&self.pool, gallery, profile).await)
    }

    async fn extremes(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        end: Extreme,
        limit: u32,
    ) -> Result<Vec<StoredFace>, StoreError> {
        self.located(read::extremes(&self.pool, gallery, profile, end, limit).await)
    }

    async fn page(&self, query: &PageQuery) -> Result<Vec<StoredImage>, StoreError> {
        self.located(read::page(&self.pool, query).await)
    }

    async fn begin_campaign(&self, campaign: &Campaign) -> Result<(), StoreError> {
        self.located(campaigns::begin(&self.pool, campaign).await)
    }

    async fn note_listed(&self, campaign: CampaignId, chunk: &ListedChunk) -> Result<(), StoreError> {
        self.located(campaigns::note_listed(&self.pool, campaign, chunk).await)
    }

    async fn end_listing(&self, campaign: CampaignId) -> Result<(), StoreError> {
        self.located(campaigns::end_listing(&self.pool, campaign).await)
    }

    async fn uncounted_jobs(&self, campaign: CampaignId, jobs: &[JobId]) -> Result<Vec<JobId>, StoreError> {
        self.located(campaigns::uncounted(&self.pool, campaign, jobs).await)
    }

    async fn set_campaign_state(&self, campaign: CampaignId, state: CampaignState) -> Result<bool, StoreError> {
        self.located(campaigns::set_state(&self.pool, campaign, state).await)
    }

    async fn campaign(&self, id: CampaignId) -> Result<Option<Campaign>, StoreError> {
        self.located(campaigns::one(&self.pool, id).await)
    }

    async fn campaigns(&self, limit: u32) -> Result<Vec<Campaign>, StoreError> {
        self.located(campaigns::latest(&self.pool, limit).await)
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.located(read::ping(&self.pool).await)
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
