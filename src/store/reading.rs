//! Reading what was recorded.

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::mpsc;

use super::StoreError;
use super::filter::PageFilter;
use super::templates::{Searched, StampsOf, TemplateBatch, TemplateStamp};
use crate::domain::{
    Components, ContentHash, Enrolment, Face, FaceId, GalleryName, ImageId, ImageUri, OutcomeKind,
    PictureHash, Profile, ProfileId, SubjectName, Template, Timings, UtcTime,
};

/// Reading what was recorded.
#[async_trait]
pub trait Reading: Send + Sync {
    /// The galleries with results, by name, each with its profiles: the active one first
    /// ([`Profiles::active_profile`](super::Profiles::active_profile)), then that of the latest
    /// record.
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

    /// The `limit` scored faces with the lowest or the highest scores, without templates. The
    /// lowest or highest comes first.
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

    /// One state of the store, to read several pages of. Nothing that is recorded meanwhile is in
    /// them. It takes one connection until it is dropped.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn snapshot(&self) -> Result<Box<dyn Snapshot + '_>, StoreError>;

    /// A page of the present state.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn page(&self, query: &PageQuery) -> Result<Vec<StoredImage>, StoreError> {
        self.snapshot().await?.page(query).await
    }

    /// Every result of an image, in one gallery or in all, without templates: by gallery and
    /// profile, as [`Self::galleries`] orders them, and of a profile the current result first, then
    /// the latest. At most [`MOST_RESULTS`].
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn history(
        &self,
        image: &ImageKey,
        gallery: Option<&GalleryName>,
    ) -> Result<Vec<KnownResult>, StoreError> {
        self.snapshot().await?.history(image, gallery).await
    }
}

/// One state of a store.
#[async_trait]
pub trait Snapshot: Send {
    /// Images with their faces, in the order in which the images were first recorded.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn page(&mut self, query: &PageQuery) -> Result<Vec<StoredImage>, StoreError>;

    /// As [`Reading::history`].
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn history(
        &mut self,
        image: &ImageKey,
        gallery: Option<&GalleryName>,
    ) -> Result<Vec<KnownResult>, StoreError>;

    /// Sends the templates of the current results of a gallery under a profile to `to`, in no
    /// order, until it is closed.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or has templates of different lengths.
    async fn templates(
        &mut self,
        gallery: &GalleryName,
        profile: &ProfileId,
        to: mpsc::Sender<TemplateBatch>,
    ) -> Result<(), StoreError>;

    /// Which templates there are to search in a gallery under a profile, in no order: of
    /// references, one for each subject that they stand for.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn template_stamps(
        &mut self,
        gallery: &GalleryName,
        profile: &ProfileId,
        searched: Searched,
        of: StampsOf<'_>,
    ) -> Result<Vec<TemplateStamp>, StoreError>;

    /// Sends the templates of the results with these [`StoredImage::cursor`]s, which are all
    /// different and of `profile`, to `to`, as [`Self::templates`] does.
    ///
    /// # Errors
    /// As [`Self::templates`].
    async fn templates_of(
        &mut self,
        profile: &ProfileId,
        cursors: &[i64],
        to: mpsc::Sender<TemplateBatch>,
    ) -> Result<(), StoreError>;

    /// The active profile of a gallery, as
    /// [`Profiles::active_profile`](super::Profiles::active_profile) tells it.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn active_profile(
        &mut self,
        gallery: &GalleryName,
    ) -> Result<Option<ProfileId>, StoreError>;

    /// The images with these [`StoredImage::cursor`]s, which are all different, and their faces,
    /// without templates, in the order of pages.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn images(&mut self, cursors: &[i64]) -> Result<Vec<StoredImage>, StoreError>;
}

/// The most results that [`Reading::history`] returns.
pub const MOST_RESULTS: u32 = 1000;

/// An image, whatever its content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageKey {
    /// By its URI, which may be written in several ways.
    Uris(Vec<ImageUri>),
    /// By the id of one of its versions.
    Id(ImageId),
}

/// A result of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownResult {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile.
    pub profile: ProfileId,
    /// Whether it is current.
    pub state: ResultState,
    /// Whether a verdict excludes the image.
    pub excluded: bool,
    /// The image with this result. Only a current result has a note.
    pub image: StoredImage,
}

/// What a result is among those of its gallery, URI and profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum ResultState {
    /// The one in summaries and exports.
    Current,
    /// Other bytes, or an attempt that got none, came before the current result.
    Superseded,
    /// A later attempt that got no bytes: the note of the current result.
    Noted,
}

impl ResultState {
    /// The name, as in `--json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Superseded => "superseded",
            Self::Noted => "noted",
        }
    }
}

/// Which images [`Snapshot::page`] returns.
#[derive(Debug, Clone, PartialEq)]
pub struct PageQuery {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile.
    pub profile: ProfileId,
    /// Only these outcomes; empty for all.
    pub outcomes: Vec<OutcomeKind>,
    /// Further conditions.
    pub filter: PageFilter,
    /// Also notes (see [`StoredImage::noted`]), each as an image without bytes, with the outcome of
    /// the note. Only without conditions on images and quality.
    pub notes: bool,
    /// The [`StoredImage::cursor`] of the previous page's last image; 0 for the first page.
    pub after: i64,
    /// The most images to return.
    pub limit: u32,
    /// Whether to read the templates.
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
    /// Images by outcome, without outcomes that did not occur. They add up to all images.
    pub outcomes: Vec<(OutcomeKind, u64)>,
    /// Faces recorded, scored or not.
    pub faces: u64,
    /// Faces by quality: `histogram[q]` faces have quality q. Always 101 long.
    pub histogram: Vec<u64>,
    /// Images with a note: a later attempt to read them got no bytes (see [`StoredImage::noted`]).
    /// `outcomes` counts them by their result.
    pub noted: u64,
    /// Images by the provider that ran.
    pub providers: Vec<(String, u64)>,
    /// Reasons with their number of images, the most frequent first; at most 20.
    pub reasons: Vec<(OutcomeKind, String, u64)>,
}

/// One recorded face with the image it is in.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredFace {
    /// Its id; [`FaceId::index`] is 0 for the primary face.
    pub id: FaceId,
    /// The URI of its image.
    pub image: ImageUri,
    /// Content hash of the image that was scored.
    pub hash: Option<ContentHash>,
    /// The detection.
    pub face: Face,
    /// Its components; all unknown if it was recorded by a version without them.
    pub components: Components,
    /// Mean pairwise distance d. None, like the next four, if the face was not scored.
    pub distance: Option<f64>,
    /// 2 / (1 + e^d).
    pub score: Option<f64>,
    /// 0 to 100.
    pub quality: Option<u8>,
    /// Norm of the embedding.
    pub norm: Option<f32>,
    /// The template, if the query asks for templates.
    pub template: Option<Template>,
}

/// One recorded image.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredImage {
    /// Its id, the same under every profile.
    pub id: ImageId,
    /// Its position in the order of pages.
    pub cursor: i64,
    /// Its URI.
    pub image: ImageUri,
    /// The subject, if a job named one.
    pub subject: Option<SubjectName>,
    /// Content hash, if bytes came.
    pub hash: Option<ContentHash>,
    /// The content hash that the job expected, if it did.
    pub expected_hash: Option<ContentHash>,
    /// Number of bytes, if they came.
    pub bytes: Option<u64>,
    /// Width and height, pixels, if it could be decoded.
    pub size: Option<(u32, u32)>,
    /// What it shows; none if it was recorded before this was kept, or not decoded.
    pub picture: Option<PictureHash>,
    /// How its job ended.
    pub outcome: OutcomeKind,
    /// Why.
    pub reason: Option<String>,
    /// The provider that ran.
    pub provider: String,
    /// Where the time went.
    pub timings: Timings,
    /// When it was recorded.
    pub recorded_at: UtcTime,
    /// How a later attempt to read the image ended, if it got no bytes.
    pub noted: Option<Note>,
    /// Its latest enrolment.
    pub enrolment: Option<LatestEnrolment>,
    /// Its faces, the primary one first.
    pub faces: Vec<StoredFace>,
}

/// What was decided last about an image, and as whose. `Debug` does not show the subject's name.
#[derive(Debug, Clone, PartialEq)]
pub struct LatestEnrolment {
    /// Whom it was enrolled for.
    pub subject: SubjectName,
    /// The decision.
    pub enrolment: Enrolment,
}

/// An attempt to read an image that got no bytes. It is kept next to the image's result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Note {
    /// How it ended.
    pub outcome: OutcomeKind,
    /// Why.
    pub reason: Option<String>,
    /// When it was recorded.
    pub at: UtcTime,
}
