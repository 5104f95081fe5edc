//! The summary of a scan.

use serde::Serialize;

use super::OutcomeCounts;
use super::not_listed::NotListedCounts;
use crate::domain::{CampaignId, CurationId, GalleryName, OutcomeKind, ProfileId};

/// The last line of `scan --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScanSummaryLine {
    /// The summary.
    pub summary: ScanSummaryView,
}

/// Where every image of a scan is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ScanSummaryView {
    /// The gallery of its results.
    pub gallery: GalleryName,
    /// The profile of its results.
    pub profile: ProfileId,
    /// The gallery's active profile, under which it is shown and searched: if it is another one,
    /// the results of the scan are a shadow. Null if the gallery has no results yet.
    pub active_profile: Option<ProfileId>,
    /// Its campaign.
    pub campaign: CampaignId,
    /// Images listed.
    pub listed: u64,
    /// Of these, images whose result was already recorded.
    pub skipped: u64,
    /// Images that ended, by outcome.
    pub outcomes: OutcomeCounts,
    /// Images that are listed and neither skipped nor ended.
    pub left: u64,
    /// Faces recorded.
    pub face_count: u64,
    /// Files and folders that could not be listed.
    pub unlisted: u64,
    /// How long the scan was followed.
    pub seconds: f64,
    /// Whether a signal stopped it.
    pub interrupted: bool,
    /// The most frequent reasons of images that are unreadable, refused or failed, at most 5.
    pub reasons: Vec<ReasonView>,
    /// What is wrong, and what to do, if more images than `--fail-over` accepts ended so; or null.
    pub failure: Option<String>,
    /// Images of the gallery that are gone from the source since this scan. Null if its listing
    /// cannot tell: it was not complete, or of lists.
    pub missing: Option<u64>,
    /// Images that are not there, in folders that are empty: these may not be mounted.
    pub missing_in_empty_folders: Option<u64>,
    /// What `--prune` took out; null without it.
    pub pruned: Option<PrunedView>,
    /// What is not listed as an image.
    #[serde(flatten)]
    pub not_listed: NotListedCounts,
}

/// What `scan --prune` took out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct PrunedView {
    /// Images that are gone.
    pub gone: u64,
    /// Images that were moved, and are at their new place.
    pub moved: u64,
    /// The curations of the verdicts, for `curate undo --curation`.
    pub curation_ids: Vec<CurationId>,
}

/// A reason that images of a scan ended with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ReasonView {
    /// How they ended.
    pub outcome: OutcomeKind,
    /// Why, as one of them had it.
    pub reason: String,
    /// How many; a number in the reason and the name of the image may differ.
    pub images: u64,
}
