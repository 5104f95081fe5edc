//! The images that a re-score reads: those that a profile has results of.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{ContentHash, GalleryName, ImageUri, ProfileId, Selection, SourceStamp};

/// Which images [`Rescoring::rescore_page`] returns.
#[derive(Debug, Clone, PartialEq)]
pub struct RescoreQuery {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile whose results name the images.
    pub from: ProfileId,
    /// The profile that is to have results of them.
    pub to: ProfileId,
    /// The selection that those results are to have.
    pub selection: Selection,
    /// The [`RescoreImage::cursor`] of the previous page's last image; 0 for the first page.
    pub after: i64,
    /// The most images to return.
    pub limit: u32,
}

/// An image with bytes that a profile has a result of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RescoreImage {
    /// Its position in the order of pages, as [`StoredImage::cursor`](super::StoredImage::cursor).
    pub cursor: i64,
    /// Its URI.
    pub image: ImageUri,
    /// The hash of its bytes.
    pub hash: ContentHash,
    /// The listed version that its result was made from.
    pub stamp: Option<SourceStamp>,
    /// Whether other bytes came to its URI since. It is then an active reference of a subject.
    pub superseded: bool,
    /// Whether a verdict says that it is gone from its source.
    pub gone: bool,
    /// Whether the other profile has a final outcome of these bytes and this selection.
    pub done: bool,
}

/// The images that a re-score reads.
#[async_trait]
pub trait Rescoring: Send + Sync {
    /// A page of the images of a gallery that have a result with bytes under the profile `from`,
    /// in the order in which those were first recorded: of current results, and of superseded ones
    /// whose image is an active reference of a subject. What is recorded under `from` while pages
    /// are read comes after all that was there.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn rescore_page(&self, query: &RescoreQuery) -> Result<Vec<RescoreImage>, StoreError>;
}
