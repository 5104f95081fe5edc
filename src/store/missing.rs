//! Images that a complete listing of their source did not bring.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{CampaignId, GalleryName, ImageId, ImageUri, UriRoot, UtcTime};

/// An image of the gallery that a listing did not bring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFoundImage {
    /// The image.
    pub id: ImageId,
    /// Where it was.
    pub uri: ImageUri,
}

/// Which images [`MissingImages::missing`] returns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingQuery {
    /// The gallery.
    pub gallery: GalleryName,
    /// Only images below these.
    pub below: Option<Vec<UriRoot>>,
    /// The previous page's last image; none for the first page.
    pub after: Option<ImageId>,
    /// The most images to return.
    pub limit: u32,
}

/// An image that is missing and that no verdict says to be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MissingImage {
    /// The image.
    pub id: ImageId,
    /// Where it was.
    pub uri: ImageUri,
    /// The campaign that did not find it.
    pub campaign: CampaignId,
    /// When it did not.
    pub since: UtcTime,
    /// An image of the same bytes in another place, of which nothing is known that this one would
    /// replace: no other subject, reference, decision or verdict.
    pub moved_to: Option<ImageId>,
}

/// Images that a complete listing of their source did not bring.
#[async_trait]
pub trait MissingImages: Send + Sync {
    /// Begins to note what a listing finds. Whether it is noted: not if the gallery has no images.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn track_listing(
        &self,
        campaign: CampaignId,
        gallery: &GalleryName,
    ) -> Result<bool, StoreError>;

    /// Notes what a listing found. What was missing there is not any more; a verdict is added for
    /// what was gone. Returns how many images were gone.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn note_found(
        &self,
        campaign: CampaignId,
        gallery: &GalleryName,
        uris: &[ImageUri],
    ) -> Result<u64, StoreError>;

    /// Current images below `roots` that were there when the listing began, that it did not find,
    /// and that were not missing before. In the order of their ids, after one of them. None if what
    /// the listing found was not noted from its beginning.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn not_found(
        &self,
        campaign: CampaignId,
        roots: &[UriRoot],
        after: Option<ImageId>,
        limit: u32,
    ) -> Result<Option<Vec<NotFoundImage>>, StoreError>;

    /// Notes that these images are missing.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn mark_missing(
        &self,
        campaign: CampaignId,
        images: &[ImageId],
    ) -> Result<(), StoreError>;

    /// Forgets what a listing found, and what listings found that are over.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn untrack_listing(&self, campaign: CampaignId) -> Result<(), StoreError>;

    /// Images that are missing, and not gone by a verdict, in the order of their ids.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn missing(&self, query: &MissingQuery) -> Result<Vec<MissingImage>, StoreError>;
}

/// What the verdicts say that a listing adds.
pub(super) fn found_again(
    gallery: &GalleryName,
    images: &[i64],
) -> Result<super::NewCuration, super::fault::Fault> {
    use super::rows::corrupt;
    use crate::domain::Verdict;
    Ok(super::NewCuration {
        gallery: gallery.clone(),
        by: "scan".parse().map_err(corrupt)?,
        reason: Some("a listing brought it again".parse().map_err(corrupt)?),
        verdicts: images.iter().map(|image| (ImageId(*image), Verdict::Found)).collect(),
        exact: false,
        rules: None,
    })
}
