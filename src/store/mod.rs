//! What is known of every image, kept: results, templates, profiles. SQL lives in the backends
//! below this file and nowhere else.
//!
//! The key of a result is (gallery, image, profile), an image being its URI and content hash.
//! Writing twice is writing once. Knows the domain only; no type of a database appears in a
//! signature.

mod columns;
mod encoding;
mod fate;
mod fault;
pub mod postgres;
pub mod sqlite;
mod tally;

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;

use crate::domain::{
    Campaign, CampaignId, CampaignState, ContentHash, End, Face, GalleryName, ImageUri, JobId,
    JobRecord, ListedChunk, OutcomeKind, Profile, ProfileId, Selection, SourceName, SourceStamp,
    SourceStatus, SubjectName, Template, Timings,
};

/// Campaigns that are looked at by workers, at most.
pub const MOST_OPEN: u32 = 1000;

/// How long a source's trouble is believed in that nobody notes again.
pub const SOURCE_STATUS_TTL: Duration = Duration::from_secs(120);

fn news_ms() -> i64 {
    i64::try_from(SOURCE_STATUS_TTL.as_millis()).unwrap_or(i64::MAX)
}

/// What can go wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Passing: busy, or the connection is gone. Try again.
    #[error("the store cannot be reached: {0}")]
    Unavailable(String),
    /// Not passing: a wrong URL, a file that is no database, a schema from a newer version, a full
    /// disk.
    #[error("the store cannot be used: {0}")]
    Unusable(String),
    /// Not the store's fault: a record that cannot be kept, such as one of a profile that was never
    /// registered. The same record will never be kept; its neighbours in the batch may be, without
    /// it.
    #[error("the record cannot be stored: {0}")]
    Invalid(String),
    /// A row that this version cannot read.
    #[error("the store holds something this version cannot read: {0}")]
    Corrupt(String),
}

/// What became of one record handed to [`Store::record`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Recorded {
    /// It was written.
    New,
    /// The same result was there already; nothing changed.
    Repeated,
    /// The image had ended already, and otherwise: with this. Nothing changed.
    Ended(End),
}

impl Recorded {
    /// How the job of `record` ended.
    pub fn end(&self, record: &JobRecord) -> End {
        match self {
            Self::Ended(end) => end.clone(),
            Self::New | Self::Repeated => End::from(&record.outcome),
        }
    }
}

/// Where results and templates are kept.
#[async_trait]
pub trait Store: Send + Sync {
    /// Makes `profile` known, so that results can refer to it. Repeating it is harmless.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn register_profile(&self, profile: &Profile) -> Result<(), StoreError>;

    /// Writes `records` in one transaction: all or none.
    ///
    /// A record whose key holds a final outcome (see [`OutcomeKind::is_final`]) of the same
    /// selection is a repeat and changes nothing but the remembered listed version; any other
    /// replaces what its key holds. A record of new bytes at a known URI supersedes the older
    /// bytes' results in the gallery: they stay, and appear in no summary, page or list. Bytes that
    /// come back bring their result back with them. So at most one result of a gallery, URI and
    /// profile is current.
    ///
    /// **A record without bytes supersedes nothing.** If its profile has a current result of the
    /// URI whose bytes came, whichever bytes, outcome and selection those are, that result stays
    /// current and the record is noted beside it ([`StoredImage::noted`]). If it has none, the
    /// record is the current result, whatever other profiles know. Bytes of the URI that are
    /// recorded later, under any profile of the gallery, end the note; they supersede a current
    /// record without bytes of their own profile. The listed version of the result does not change
    /// by a note, so the next scan tries the new version again.
    ///
    /// Where the very same job has a final outcome already, or bytes of the very same listed
    /// version have one, a record without bytes is a repeat: how the image ended is
    /// [`Recorded::Ended`]. An outcome without bytes is final for its own job alone.
    ///
    /// A record that belongs to a campaign counts there, a repeat too, with the end that stands. A
    /// job counts once: if it ends again otherwise, because it was retried or delivered twice, its
    /// count moves from the old outcome to the new one. From `scored` and `no_face` it never moves.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or one record cannot be kept; then nothing of
    /// `records` is written.
    async fn record(&self, records: &[JobRecord]) -> Result<Vec<Recorded>, StoreError>;

    /// Which of `images` (URI and listed version) already hold a final outcome for this gallery,
    /// profile and selection. An image without a stamp is never settled: nobody can tell whether it
    /// changed.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn settled(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        selection: &Selection,
        images: &[(ImageUri, Option<SourceStamp>)],
    ) -> Result<Vec<bool>, StoreError>;

    /// The galleries with results, by name, and for each its profiles, the one recorded to last
    /// first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn galleries(&self) -> Result<Vec<(GalleryName, Vec<ProfileId>)>, StoreError>;

    /// A registered profile.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn profile(&self, id: &ProfileId) -> Result<Option<Profile>, StoreError>;

    /// Counts over one gallery and profile.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn summary(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<GallerySummary, StoreError>;

    /// The `limit` scored faces of lowest or highest score, worst or best first; without templates.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn extremes(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        end: Extreme,
        limit: u32,
    ) -> Result<Vec<StoredFace>, StoreError>;

    /// Images in the order they were first recorded, from after `cursor`, at most `limit`; with
    /// their faces, and with templates if asked.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn page(&self, query: &PageQuery) -> Result<Vec<StoredImage>, StoreError>;

    /// Begins a campaign, or opens it again: its id, lane, gallery, profile, selection, source and
    /// state are kept; it has listed nothing. Repeating it is harmless.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or the profile was never registered.
    async fn begin_campaign(&self, campaign: &Campaign) -> Result<(), StoreError>;

    /// Notes a chunk of a campaign's listing, in one transaction, before its jobs are published:
    /// counts what was listed and skipped, and remembers the chunk's place. A listing that resumes
    /// goes through this chunk once more, without noting it again, and publishes those of its jobs
    /// that [`Self::uncounted_jobs`] names.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or there is no such campaign.
    async fn note_listed(
        &self,
        campaign: CampaignId,
        chunk: &ListedChunk,
    ) -> Result<(), StoreError>;

    /// Notes that everything of a campaign was listed.
    ///
    /// # Errors
    /// As [`Self::note_listed`].
    async fn end_listing(&self, campaign: CampaignId) -> Result<(), StoreError>;

    /// Those of `jobs` that have neither been skipped nor ended in `campaign`, in the order given.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn uncounted_jobs(
        &self,
        campaign: CampaignId,
        jobs: &[JobId],
    ) -> Result<Vec<JobId>, StoreError>;

    /// Tells workers what an operator wants of a campaign, which opens it if it was closed. False
    /// if there is no such campaign.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn set_campaign_state(
        &self,
        campaign: CampaignId,
        state: CampaignState,
    ) -> Result<bool, StoreError>;

    /// A campaign as it stands.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn campaign(&self, id: CampaignId) -> Result<Option<Campaign>, StoreError>;

    /// The `limit` campaigns that began last, the latest first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn campaigns(&self, limit: u32) -> Result<Vec<Campaign>, StoreError>;

    /// The campaigns that are not closed, at most [`MOST_OPEN`], the latest first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn open_campaigns(&self) -> Result<Vec<Campaign>, StoreError>;

    /// Notes that a campaign is over and nothing of it waits in the queue. Repeating it is
    /// harmless.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn close_campaign(&self, campaign: CampaignId) -> Result<(), StoreError>;

    /// Notes what is wrong with a source, or that it is well. To be repeated while it lasts: what
    /// nobody has noted for [`SOURCE_STATUS_TTL`] is taken to be over.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn set_source_status(
        &self,
        source: &SourceName,
        trouble: Option<&str>,
    ) -> Result<(), StoreError>;

    /// Every source that workers ever had trouble with.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn source_statuses(&self) -> Result<Vec<SourceStatus>, StoreError>;

    /// Tries, in a transaction that is rolled back, whether the store answers and takes everything
    /// that a worker writes. Leaves nothing behind, draws no id, and waits for no lock longer than
    /// some seconds.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or a right is missing: it says on which table.
    async fn try_writing(&self) -> Result<(), StoreError>;

    /// Waits for running work and closes files and connections.
    async fn close(&self);
}

/// Which images [`Store::page`] returns.
#[derive(Debug, Clone, PartialEq)]
pub struct PageQuery {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile.
    pub profile: ProfileId,
    /// Only these outcomes; empty for all.
    pub outcomes: Vec<OutcomeKind>,
    /// The [`StoredImage::cursor`] of the last image of the page before; 0 for the first page.
    pub after: i64,
    /// At most so many images.
    pub limit: u32,
    /// Whether to read the templates too.
    pub templates: bool,
}

/// The low or the high end of the scores.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extreme {
    /// Lowest score first.
    Worst,
    /// Highest score first.
    Best,
}

/// Counts over one gallery and profile.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct GallerySummary {
    /// Images by outcome; outcomes that did not occur are absent. Adds up to the number of images.
    pub outcomes: Vec<(OutcomeKind, u64)>,
    /// Faces recorded, scored or not.
    pub faces: u64,
    /// Faces by quality: `histogram[q]` faces have quality q. Always 101 long.
    pub histogram: Vec<u64>,
    /// Images whose result is from before: a later attempt to read them got no bytes (see
    /// [`StoredImage::noted`]). They count in `outcomes` by their result.
    pub noted: u64,
    /// Images by the provider that ran.
    pub providers: Vec<(String, u64)>,
    /// Reasons with the number of images, the most frequent first; at most 20.
    pub reasons: Vec<(OutcomeKind, String, u64)>,
}

/// One recorded face with the image it is in.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFace {
    /// Its image.
    pub image: ImageUri,
    /// Content hash of the image that was scored.
    pub hash: Option<ContentHash>,
    /// 0 for the primary face.
    pub index: u32,
    /// The detection.
    pub face: Face,
    /// Mean pairwise distance d; none if not scored, like the next four.
    pub distance: Option<f64>,
    /// 2 / (1 + e^d).
    pub score: Option<f64>,
    /// 0 to 100.
    pub quality: Option<u8>,
    /// Norm of the embedding.
    pub norm: Option<f32>,
    /// The template, if it was asked for.
    pub template: Option<Template>,
}

/// One recorded image.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredImage {
    /// Its place in the order of pages.
    pub cursor: i64,
    /// Where it is.
    pub image: ImageUri,
    /// Whose face it is, if a job said so.
    pub subject: Option<SubjectName>,
    /// Content hash, if bytes came.
    pub hash: Option<ContentHash>,
    /// Number of bytes, if they came.
    pub bytes: Option<u64>,
    /// Width and height, pixels, if it could be decoded.
    pub size: Option<(u32, u32)>,
    /// How its job ended.
    pub outcome: OutcomeKind,
    /// Why.
    pub reason: Option<String>,
    /// The provider that ran.
    pub provider: String,
    /// Where the time went.
    pub timings: Timings,
    /// When it was recorded, RFC 3339, UTC.
    pub recorded_at: String,
    /// How a later attempt to read the image ended, if that got no bytes.
    pub noted: Option<Note>,
    /// Its faces, the primary one first.
    pub faces: Vec<StoredFace>,
}

/// An attempt to read an image that got no bytes, noted beside the image's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Why.
    pub reason: Option<String>,
    /// When it was recorded, RFC 3339, UTC.
    pub at: String,
}
