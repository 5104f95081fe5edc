//! Images that a complete listing of their source did not bring.

use async_trait::async_trait;

use super::enrolling::EnrolmentTables;
use super::erasing::TombstoneTables;
use super::fault::Fault;
use super::judging::{VerdictTables, judge};
use super::rows::corrupt;
use super::{Judged, NewCuration, StoreError};
use crate::domain::{
    Campaign, CampaignId, GalleryName, ImageId, ImageUri, Lane, UriRoot, UtcTime, Verdict,
};

/// Why an image that was gone is not any more, if a listing says so.
pub(super) const LISTED: &str = "a listing brought it again";

/// An image of the gallery, and where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlacedImage {
    /// The image.
    pub id: ImageId,
    /// Its place.
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
    /// An image of the same bytes in another place, below the roots of the query. It came since
    /// this one was last known to be in its place, and nothing is known of it that this one would
    /// replace: no other subject, reference, decision or verdict.
    pub moved_to: Option<PlacedImage>,
    /// If there is none: any other image of the same bytes, in its place.
    pub copied_to: Option<ImageId>,
}

/// Images that a complete listing of their source did not bring.
#[async_trait]
pub trait MissingImages: Send + Sync {
    /// Begins to note what a listing finds. Whether there is anything to note: not if the gallery
    /// has no images.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn track_listing(
        &self,
        campaign: CampaignId,
        gallery: &GalleryName,
    ) -> Result<bool, StoreError>;

    /// Notes what the listing of a campaign found, if that is tracked. What was missing there is
    /// not any more; a verdict is added for what was gone. Returns how many images were gone.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn note_found(&self, campaign: &Campaign, uris: &[ImageUri]) -> Result<u64, StoreError>;

    /// Current images below `roots` that were there when the listing began, that it did not find,
    /// and that were not missing before. In the order of their ids, after one of them. None if what
    /// the listing found was not noted from its beginning, or something could not be listed.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn not_found(
        &self,
        campaign: CampaignId,
        roots: &[UriRoot],
        after: Option<ImageId>,
        limit: u32,
    ) -> Result<Option<Vec<PlacedImage>>, StoreError>;

    /// Notes that these images are missing.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn mark_missing(
        &self,
        campaign: CampaignId,
        images: &[ImageId],
    ) -> Result<(), StoreError>;

    /// Forgets what a listing found. `complete`: it found all that is there. Images that come from
    /// then on are new places of images that it found and later ones do not.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn untrack_listing(&self, campaign: CampaignId, complete: bool)
    -> Result<(), StoreError>;

    /// Images that are missing, and not gone by a verdict, in the order of their ids.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn missing(&self, query: &MissingQuery) -> Result<Vec<MissingImage>, StoreError>;
}

/// Ends that these images are missing, because they are there, and adds a verdict about those that
/// were gone. `why`: the lane of what found them, and how. Returns how many were gone.
pub(super) async fn bring_back(
    tables: &mut (impl VerdictTables + TombstoneTables + EnrolmentTables),
    gallery: &GalleryName,
    (lane, why): (Lane, &str),
    images: &[i64],
) -> Result<u64, Fault> {
    if images.is_empty() {
        return Ok(0);
    }
    let new = NewCuration {
        gallery: gallery.clone(),
        by: lane.as_str().parse().map_err(corrupt)?,
        reason: Some(why.parse().map_err(corrupt)?),
        verdicts: images.iter().map(|image| (ImageId(*image), Verdict::Found)).collect(),
        exact: false,
        rules: None,
    };
    let Judged::Written { verdicts, .. } = judge(tables, &new).await? else {
        return Err(corrupt("an image that was missing is unknown"));
    };
    tables.end_missing(images).await?;
    Ok(verdicts)
}
