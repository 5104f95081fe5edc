//! The profiles of galleries: which one is active, and what the others cover.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    Activation, CoverageCounts, FailedAttempts, GalleryName, OperatorName, OutcomeKind, Profile,
    ProfileId, UtcTime,
};

/// A registered profile.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredProfile {
    /// The profile.
    pub profile: Profile,
    /// When it was registered first.
    pub registered_at: UtcTime,
}

/// What a gallery has under a profile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GalleryProfile {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile.
    pub profile: ProfileId,
    /// Whether it is the gallery's active one; the others are shadows.
    pub active: bool,
    /// Images with a current result under it.
    pub images: u64,
}

/// What a profile covers of a gallery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProfileCoverage {
    /// The gallery's active profile, with which it is compared; the active one itself is compared
    /// with all profiles together.
    pub active: ProfileId,
    /// The counts.
    pub coverage: CoverageCounts,
    /// Attempts at images that it does not cover.
    pub attempts: FailedAttempts,
}

/// A profile that is to become active.
#[derive(Debug, Clone, PartialEq)]
pub struct NewActivation {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile.
    pub profile: ProfileId,
    /// The profile that is active, and was when the coverage was counted.
    pub instead_of: ProfileId,
    /// What was counted.
    pub coverage: CoverageCounts,
    /// Who does it.
    pub by: OperatorName,
    /// Whether it is done against a refusal.
    pub forced: bool,
}

/// The profiles of galleries.
#[async_trait]
pub trait Profiles: Send + Sync {
    /// All registered profiles, the first that was registered first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn profiles(&self) -> Result<Vec<StoredProfile>, StoreError>;

    /// The galleries with results, by name, each with its profiles: the active one first, then that
    /// of the latest record.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn gallery_profiles(&self) -> Result<Vec<GalleryProfile>, StoreError>;

    /// The active profile of a gallery: of the profiles with results, the one that was activated
    /// last, or else the one of the gallery's first results. None if the gallery has no results.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn active_profile(&self, gallery: &GalleryName) -> Result<Option<ProfileId>, StoreError>;

    /// What `profile` covers of a gallery, on one state of the store. None if the gallery has no
    /// results.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn coverage(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<Option<ProfileCoverage>, StoreError>;

    /// All activations, the latest first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn activations(&self) -> Result<Vec<Activation>, StoreError>;

    /// Makes a profile the active one, in one transaction. False, and nothing changes, if another
    /// profile is active than the one that it is to replace, or the gallery has no results of the
    /// new one.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn activate(&self, new: &NewActivation) -> Result<bool, StoreError>;
}

/// The outcomes that are final, as columns have them.
pub(super) fn final_outcomes() -> Vec<&'static str> {
    let finals = OutcomeKind::ALL.into_iter().filter(|kind| kind.is_final());
    finals.map(OutcomeKind::as_str).collect()
}
