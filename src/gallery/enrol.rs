//! Enrols subjects: a campaign of the lane `enrol`, whose jobs name subjects.

use futures::StreamExt;

use super::GalleryError;
use super::campaign::new_campaign;
use crate::domain::{
    Campaign, GalleryName, LabelledImage, Lane, ProfileId, Selection, SubjectName,
};
use crate::images::{Listing, ListingEntry, ListingError, NotListed};
use crate::store::{Profiles, StoreError};

/// A campaign that enrols and has listed nothing yet. `source` says what it lists.
pub fn enrolment_campaign(
    gallery: GalleryName,
    profile: ProfileId,
    selection: Selection,
    source: String,
) -> Campaign {
    Campaign { lane: Lane::Enrol, ..new_campaign(gallery, profile, selection, source) }
}

/// Why people cannot be enrolled under the profile of the settings.
#[derive(Debug, thiserror::Error)]
pub enum EnrolProfileError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Another profile is active.
    #[error(
        "gallery {gallery} is searched under its active profile {active}, and these settings enrol \
         under profile {own}: nobody would find whom they enrol. Enrol with the settings of \
         {active} (`facefleet profile show {active}` names its models), make {own} the active one \
         (`facefleet profile activate {own} --gallery {gallery}`), or enrol under it as it is with \
         --profile {own}"
    )]
    NotActive {
        /// The gallery.
        gallery: GalleryName,
        /// Its active profile.
        active: ProfileId,
        /// The profile of the settings.
        own: ProfileId,
    },
    /// The settings are of another profile than the wanted one.
    #[error(
        "--profile {wanted}: these settings enrol under profile {own}, and a profile is chosen by \
         its settings"
    )]
    OtherSettings {
        /// The profile that was asked for.
        wanted: ProfileId,
        /// The profile of the settings.
        own: ProfileId,
    },
}

/// Whether people may be enrolled in `gallery` under the profile `own` of the settings: if it is
/// the active one, the gallery has no results, or it was `wanted` expressly.
///
/// # Errors
/// If they may not, or the store cannot be read.
pub async fn require_active(
    store: &dyn Profiles,
    gallery: &GalleryName,
    own: &ProfileId,
    wanted: Option<&ProfileId>,
) -> Result<(), EnrolProfileError> {
    if let Some(wanted) = wanted {
        let (wanted, own) = (wanted.clone(), own.clone());
        let same = wanted == own;
        return if same { Ok(()) } else { Err(EnrolProfileError::OtherSettings { wanted, own }) };
    }
    match store.active_profile(gallery).await? {
        Some(active) if active != *own => {
            let (gallery, own) = (gallery.clone(), own.clone());
            Err(EnrolProfileError::NotActive { gallery, active, own })
        }
        _ => Ok(()),
    }
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
