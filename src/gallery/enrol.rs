//! Enrols subjects: a campaign of the lane `enrol`, whose jobs name subjects.

use futures::StreamExt;

use super::GalleryError;
use super::campaign::new_campaign;
use crate::domain::{
    Campaign, GalleryName, LabelledImage, Lane, ProfileId, Selection, SubjectName,
};
use crate::images::{Listing, ListingEntry, ListingError, NotListed};

/// A campaign that enrols and has listed nothing yet. `source` says what it lists.
pub fn enrolment_campaign(
    gallery: GalleryName,
    profile: ProfileId,
    selection: Selection,
    source: String,
) -> Campaign {
    Campaign { lane: Lane::Enrol, ..new_campaign(gallery, profile, selection, source) }
}

/// The images of one subject, and what is not an image.
#[derive(Debug, Default)]
pub struct SubjectImages {
    /// The images, in the order of the listing.
    pub images: Vec<LabelledImage>,
    /// Files that are not listed as images.
    pub not_listed: Vec<NotListed>,
    /// What could not be read.
    pub failed: Vec<ListingError>,
}

impl SubjectImages {
    /// All images that `listing` finds, as images of `subject`.
    ///
    /// # Errors
    /// If a root cannot be listed.
    pub async fn find(listing: &Listing, subject: &SubjectName) -> Result<Self, GalleryError> {
        let mut found = Self::default();
        let mut entries = listing.entries_of_roots();
        while let Some(entry) = entries.next().await {
            match entry? {
                ListingEntry::Image { image, .. } => {
                    found.images.push(LabelledImage { subject: Some(subject.clone()), ..image });
                }
                ListingEntry::NotListed(other) => found.not_listed.push(other),
                ListingEntry::Failed(error) => found.failed.push(error),
            }
        }
        Ok(found)
    }
}
