//! A remap, as `remap --json` prints it.

use serde::Serialize;

use crate::domain::{GalleryName, ProfileId};

/// What a remap did: the line of `remap --json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RemapView {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile with the new qualities.
    pub profile: ProfileId,
    /// The gallery's active profile, under which it is shown and searched: if it is another one,
    /// the copies are a shadow. Null if the gallery has no results.
    pub active_profile: Option<ProfileId>,
    /// The profiles whose results were copied.
    pub source_profiles: Vec<ProfileId>,
    /// Results of these profiles.
    pub images: u64,
    /// Results that were copied in this run.
    pub copied: u64,
    /// Results that were there before.
    pub up_to_date: u64,
    /// Faces copied in this run.
    pub face_count: u64,
    /// Whether the run was interrupted: the same command does the rest.
    pub interrupted: bool,
}
