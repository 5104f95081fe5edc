//! The end of a gallery's profile.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{GalleryName, ProfileId};

/// Results that one step of [`Retirements::retire`] deletes, at most.
pub const RETIRED_AT_ONCE: u32 = 2000;

/// What a gallery has under one profile alone: it goes with the profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SoleResults {
    /// Images with a current, final result under it whose bytes came, and none under another one,
    /// of whatever bytes.
    pub images: u64,
    /// Active references with a template under it, and none under another one.
    pub references: u64,
    /// The subjects of these references.
    pub subjects: u64,
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

/// The end of profiles.
#[async_trait]
pub trait Retirements: Send + Sync {
    /// What a gallery has under `profile` alone, on one state of the store.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn sole_results(
        &self,
        gallery: &GalleryName,
        profile: &ProfileId,
    ) -> Result<SoleResults, StoreError>;

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
