//! Marks images of the gallery that a complete listing of their source did not bring.
//!
//! What a listing finds is noted in the store, so that a listing of millions takes no memory and
//! can resume. What was not found is looked for once more before it is marked.

use futures::stream::{self, StreamExt};
use tokio_util::sync::CancellationToken;

use super::GalleryError;
use super::list::{Entry, Images, NotAnImage};
use crate::domain::{Campaign, ImageId, Lane, UriRoot};
use crate::images::{Listing, NotListedReason, Presence};
use crate::store::{MissingImages, PlacedImage};

/// Images that were not found and are read at once.
const PAGE: u32 = 2000;
/// Images that are looked for at once.
pub(super) const LOOKS_AT_ONCE: usize = 16;

/// What a complete listing says about images of the gallery.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SourceCheck {
    /// Images that are missing since this listing.
    pub missing: u64,
    /// Images of folders that are empty: their file system may not be mounted. They are not marked.
    pub unsure: u64,
}

/// Notes what a listing finds, and marks what it does not.
pub(super) struct MissingTracker {
    listing: Listing,
    covered: Vec<UriRoot>,
    tracks: bool,
    /// Whether something could not be listed.
    failed: bool,
    /// Whether the listing brought anything, or left it out because somebody asked for that.
    brought: bool,
}

impl MissingTracker {
    /// None if the campaign does not list all of some places.
    pub(super) fn new(images: &Images, campaign: &Campaign) -> Option<Self> {
        let Images::Listing(listing) = images else { return None };
        let covered = listing.covered();
        let lists_all = campaign.lane == Lane::Scan && !covered.is_empty();
        lists_all.then(|| Self {
            listing: (**listing).clone(),
            covered,
            tracks: false,
            failed: false,
            brought: false,
        })
    }

    /// Begins, or goes on with a listing that goes on.
    pub(super) async fn begin(
        &mut self,
        store: &dyn MissingImages,
        campaign: &Campaign,
    ) -> Result<(), GalleryError> {
        let resumes = campaign.progress.chunk_to.is_some();
        self.brought = resumes;
        self.tracks = resumes || store.track_listing(campaign.id, &campaign.gallery).await?;
        Ok(())
    }

    /// Notes what a chunk of the listing found, before it counts as listed. Once something could
    /// not be listed, nobody knows what is missing; what is found is there all the same.
    pub(super) async fn track(
        &mut self,
        store: &dyn MissingImages,
        campaign: &Campaign,
        chunk: &[Result<Entry, GalleryError>],
    ) -> Result<(), GalleryError> {
        let (mut found, mut fails) = (Vec::with_capacity(chunk.len()), false);
        for entry in chunk.iter().flatten() {
            match entry {
                Entry::Image(listed) => found.push(listed.image.image.clone()),
                Entry::NotAnImage(NotAnImage::Unlisted(_)) => fails = true,
                Entry::NotAnImage(NotAnImage::NotListed(other)) => {
                    fails |= other.reason == NotListedReason::EmptyRoot;
                    self.brought |= other.reason.is_option();
                    // It is no image for this scan, and it is there. Files are looked at.
                    let object = other.uri.clone().filter(|uri| uri.scheme() != "file");
                    found.extend(object);
                }
            }
        }
        if fails && !self.failed {
            self.failed = true;
            store.untrack_listing(campaign.id, false).await?;
        }
        self.brought |= !found.is_empty();
        if self.tracks && !found.is_empty() {
            store.note_found(campaign, &found).await?;
        }
        Ok(())
    }

    /// Marks what is missing, once the listing is complete. None if it cannot tell, or `stop` was
    /// cancelled.
    pub(super) async fn end(
        &self,
        store: &dyn MissingImages,
        campaign: &Campaign,
        stop: &CancellationToken,
    ) -> Result<Option<SourceCheck>, GalleryError> {
        if self.failed {
            return Ok(None);
        }
        let mut check = SourceCheck::default();
        if !self.tracks {
            // The gallery has no images that could be missing.
            store.untrack_listing(campaign.id, true).await?;
            return Ok(Some(check));
        }
        if !self.brought {
            // Something else may be where the images were: a share that is not mounted.
            store.untrack_listing(campaign.id, false).await?;
            return Ok(None);
        }
        let mut after = None;
        loop {
            let page = store.not_found(campaign.id, &self.covered, after, PAGE).await?;
            let Some(page) = page else { return Ok(None) };
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            let looked = stop.run_until_cancelled(self.look(page)).await;
            let Some(looked) = looked else { return Ok(None) };
            let of = |presence: Presence| {
                looked.iter().filter(move |(_, found)| *found == presence).map(|(id, _)| *id)
            };
            let gone: Vec<ImageId> = of(Presence::Gone).collect();
            store.mark_missing(campaign.id, &gone).await?;
            check.missing += gone.len() as u64;
            check.unsure += of(Presence::EmptyFolder).count() as u64;
        }
        store.untrack_listing(campaign.id, true).await?;
        Ok(Some(check))
    }

    async fn look(&self, images: Vec<PlacedImage>) -> Vec<(ImageId, Presence)> {
        let look =
            |image: PlacedImage| async move { (image.id, self.listing.presence(&image.uri).await) };
        stream::iter(images).map(look).buffer_unordered(LOOKS_AT_ONCE).collect().await
    }
}
