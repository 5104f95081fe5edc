//! A campaign, as `campaign list` and `campaign show` print it.

use serde::Serialize;

use super::{OutcomeCounts, outcome_counts};
use crate::domain::{Campaign, CampaignId, CampaignState, GalleryName, Lane, ProfileId, Selection};

/// A campaign and where its images are.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CampaignView {
    /// The campaign's id.
    pub campaign: CampaignId,
    /// The lane of its jobs.
    pub lane: Lane,
    /// The gallery of its results.
    pub gallery: GalleryName,
    /// The profile of its results.
    pub profile: ProfileId,
    /// Which faces its jobs ask for; null for campaigns of old versions, which did not keep it.
    pub selection: Option<Selection>,
    /// What it lists: folders, buckets, labels.
    pub source: String,
    /// See [`campaign_state`].
    pub state: &'static str,
    /// Why its listing failed; null if it did not.
    pub reason: Option<String>,
    /// When it began, RFC 3339, UTC.
    pub started_at: String,
    /// Images listed so far.
    pub listed: u64,
    /// Of these, images whose result was already recorded.
    pub skipped: u64,
    /// Whether everything is listed.
    pub listing_done: bool,
    /// Images that ended, by outcome.
    pub outcomes: OutcomeCounts,
    /// Images that are listed and neither skipped nor ended.
    pub left: u64,
    /// Faces recorded.
    pub face_count: u64,
}

impl From<&Campaign> for CampaignView {
    fn from(campaign: &Campaign) -> Self {
        let progress = &campaign.progress;
        Self {
            campaign: campaign.id,
            lane: campaign.lane,
            gallery: campaign.gallery.clone(),
            profile: campaign.profile.clone(),
            selection: campaign.selection,
            source: campaign.source.clone(),
            state: campaign_state(campaign),
            reason: progress.listing_error.clone(),
            started_at: campaign.started_at.clone(),
            listed: progress.listed,
            skipped: progress.skipped,
            listing_done: progress.listing_done,
            outcomes: outcome_counts(progress),
            left: progress.left(),
            face_count: progress.faces,
        }
    }
}

/// `running`, `paused` or `cancelled`; of a running campaign, `complete` if no image is left, and
/// `failed` if its listing failed, whether or not images are left.
pub fn campaign_state(campaign: &Campaign) -> &'static str {
    match campaign.state {
        CampaignState::Running if campaign.progress.is_complete() => "complete",
        CampaignState::Running if campaign.progress.listing_error.is_some() => "failed",
        state => state.as_str(),
    }
}
