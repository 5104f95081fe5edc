//! The summary of a re-score.

use serde::Serialize;

use super::OutcomeCounts;
use super::scan::ReasonView;
use crate::domain::{CampaignId, GalleryName, ProfileId};

/// The last line of `rescore --json`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RescoreSummaryLine {
    /// The summary.
    pub summary: RescoreSummaryView,
}

/// Where every image of a re-score is.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct RescoreSummaryView {
    /// The gallery.
    pub gallery: GalleryName,
    /// The profile whose results name the images.
    pub from_profile: ProfileId,
    /// The profile of the new results.
    pub profile: ProfileId,
    /// The campaign; null if no image was missing, so that none began.
    pub campaign: Option<CampaignId>,
    /// Images listed.
    pub listed: u64,
    /// Of these, images that had an outcome under the new profile already.
    pub skipped: u64,
    /// Images that ended, by outcome.
    pub outcomes: OutcomeCounts,
    /// Images that are listed and neither skipped nor ended.
    pub left: u64,
    /// Faces recorded.
    pub face_count: u64,
    /// Images that this command saw end and that were not read, because the chip cache had what was
    /// found in them.
    pub from_chip_cache: u64,
    /// Images that are not listed, because a verdict says that they are gone from their source. The
    /// chip cache does not have what was found in them.
    pub gone_images: u64,
    /// References that are not listed, because other bytes came to their URI since.
    pub lost_references: u64,
    /// References that are not listed, because the chip cache could not be asked for them.
    pub unasked_references: u64,
    /// How long the campaign was followed.
    pub seconds: f64,
    /// Whether a signal stopped it.
    pub interrupted: bool,
    /// The most frequent reasons of images that are unreadable, refused or failed, at most 5.
    pub reasons: Vec<ReasonView>,
    /// What is wrong, and what to do, if more images than `--fail-over` accepts ended so; or null.
    pub failure: Option<String>,
}
