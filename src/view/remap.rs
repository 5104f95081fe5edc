//! A remap, as `remap --json` prints it.

use serde::Serialize;

use crate::domain::{GalleryName, ProfileId};

/// What a remap did: the line of `remap --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RemapView {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile with the new qualities.
    pub profile: ProfileId,
    /// The profile whose results were copied.
    pub source_profile: ProfileId,
    /// Images that have a result of that profile.
    pub images: u64,
    /// Images whose result was copied in this run.
    pub copied: u64,
    /// Images whose result was there before.
    pub up_to_date: u64,
    /// Faces copied in this run.
    pub face_count: u64,
    /// Whether the run was interrupted: the same command does the rest.
    pub interrupted: bool,
}
