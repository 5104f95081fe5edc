//! Campaigns and the states that operators set.

use async_trait::async_trait;
use uuid::Uuid;

use super::StoreError;
use crate::domain::{Campaign, CampaignId, CampaignState};

/// The most campaigns that [`Campaigns::open_campaigns`] returns.
pub const MOST_OPEN: u32 = 1000;

/// Campaigns and the states that operators set.
#[async_trait]
pub trait Campaigns: Send + Sync {
    /// Begins a campaign with nothing listed, or reopens it. Reopening keeps its lane, gallery,
    /// profile, selection, source, state and progress, but not why its listing failed. Repeating it
    /// changes nothing. `claim`: that of the schedule's run that lists it, see
    /// [`super::ListingKey`].
    ///
    /// # Errors
    /// If the store cannot be reached or used, the profile was never registered, or
    /// [`StoreError::TakenOver`].
    async fn begin_campaign(
        &self,
        campaign: &Campaign,
        claim: Option<Uuid>,
    ) -> Result<(), StoreError>;

    /// Sets a campaign's state, and reopens the campaign if it was closed. False if the campaign
    /// does not exist.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn set_campaign_state(
        &self,
        campaign: CampaignId,
        state: CampaignState,
    ) -> Result<bool, StoreError>;

    /// A campaign with its progress.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn campaign(&self, id: CampaignId) -> Result<Option<Campaign>, StoreError>;

    /// The `limit` campaigns that began last, the latest first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn campaigns(&self, limit: u32) -> Result<Vec<Campaign>, StoreError>;

    /// The campaigns that are not closed, at most [`MOST_OPEN`], the latest first.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn open_campaigns(&self) -> Result<Vec<Campaign>, StoreError>;

    /// Closes a campaign: it is over, and none of its jobs is in the queue. Repeating it changes
    /// nothing.
    ///
    /// # Errors
    /// If the store cannot be reached or used.
    async fn close_campaign(&self, campaign: CampaignId) -> Result<(), StoreError>;
}
