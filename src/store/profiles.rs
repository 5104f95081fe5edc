//! The profiles of galleries: which one is active, what the others cover, and their end.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{
    Activation, CoverageCounts, FailedAttempts, GalleryName, OperatorName, OutcomeKind, Profile,
    ProfileId, UtcTime,
};

/// Results that one step of [`Profiles::retire`] deletes, at most.
pub const RETIRED_AT_ONCE: u32 = 2000;

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
    /// The gallery's active profile, with which it is compared.
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

/// How far the retirement of a profile in a gallery is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RetireStep {
    /// So many results were deleted; the next step begins after this position.
    Deleted {
        /// Results.
        results: u64,
        /// Where the next step begins.
        next: i64,
    },
    /// Nothing is left.
    Done,
    /// Nothing was deleted: it is the gallery's active profile.
    Active,
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

    /// Deletes the next results of a profile in a gallery after the position `after` (0 at first),
    /// with faces and templates, in one transaction; after the last, the gallery has no such
    /// profile any more. Images, subjects, references, decisions and campaigns stay. Repeating it
    /// from the start does the rest. For times when nothing records under that profile.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or, on Postgres, the role does not own the schema.
    async fn retire(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
        after: i64,
    ) -> Result<RetireStep, StoreError>;
}

/// The outcomes that are final, as columns have them.
pub(super) fn final_outcomes() -> Vec<&'static str> {
    let finals = OutcomeKind::ALL.into_iter().filter(|kind| kind.is_final());
    finals.map(OutcomeKind::as_str).collect()
}
