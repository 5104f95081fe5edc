//! How far the listing of a campaign came.

use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use crate::domain::{CampaignId, JobId, ListedChunk};

/// Whose listing of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListingKey {
    /// The campaign.
    pub campaign: CampaignId,
    /// The claim of the schedule's run that lists it, see [`super::RunOwner`]. Once another
    /// process has taken the run over, the store refuses what this one says of the listing.
    /// `None`: no schedule lists it.
    pub claim: Option<Uuid>,
}

impl From<CampaignId> for ListingKey {
    fn from(campaign: CampaignId) -> Self {
        Self { campaign, claim: None }
    }
}

/// How far the listing of a campaign came.
#[async_trait]
pub trait Listings: Send + Sync {
    /// Records a chunk of a campaign's listing, in one transaction, before its jobs are published:
    /// counts the listed and skipped images, and remembers where the chunk begins and ends. A
    /// listing that resumes lists the last chunk again without recording it again, and publishes
    /// those of its jobs that [`Self::uncounted_jobs`] returns.
    ///
    /// # Errors
    /// If the store cannot be reached or used, the campaign does not exist, or
    /// [`StoreError::TakenOver`].
    async fn note_listed(&self, listing: ListingKey, chunk: &ListedChunk)
    -> Result<(), StoreError>;

    /// Records that the listing of a campaign is complete.
    ///
    /// # Errors
    /// As [`Self::note_listed`].
    async fn end_listing(&self, listing: ListingKey) -> Result<(), StoreError>;

    /// Records why the listing of a campaign failed, unless it is complete. Beginning the campaign
    /// again, to continue the listing, removes the reason.
    ///
    /// # Errors
    /// If the store cannot be reached or used, or [`StoreError::TakenOver`].
    async fn fail_listing(&self, listing: ListingKey, reason: &str) -> Result<(), StoreError>;

    /// Forgets how far the listing of a campaign came, before it is listed from the beginning once
    /// more. Jobs that were skipped or ended stay so, and count once.
    ///
    /// # Errors
    /// As [`Self::note_listed`].
    async fn restart_listing(&self, listing: ListingKey) -> Result<(), StoreError>;

    /// Cancels a campaign whose jobs are gone with the process that listed it.
    ///
    /// # Errors
    /// As [`Self::note_listed`].
    async fn cancel_listing(&self, listing: ListingKey) -> Result<(), StoreError>;

    /// Those of `jobs` that have neither been skipped nor ended in `campaign`, in the order given.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn uncounted_jobs(
        &self,
        campaign: CampaignId,
        jobs: &[JobId],
    ) -> Result<Vec<JobId>, StoreError>;
}
