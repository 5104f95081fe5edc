//! The summary of a scan.

use serde::Serialize;

use super::OutcomeCounts;
use super::not_listed::NotListedCounts;
use crate::domain::{CampaignId, GalleryName, ProfileId};

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
    pub faces: u64,
    /// Files and folders that could not be listed.
    pub unlisted: u64,
    /// How long the scan was followed.
    pub seconds: f64,
    /// Whether a signal stopped it.
    pub interrupted: bool,
    /// What is not listed as an image.
    #[serde(flatten)]
    pub not_listed: NotListedCounts,
}
