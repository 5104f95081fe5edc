//! The state that the operator set for a job's campaign: running, paused or cancelled. It is read
//! from the store at intervals and cached, so that a job costs no query.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use moka::future::Cache;

use crate::domain::{Campaign, CampaignId, CampaignState, Lane};
use crate::store::Campaigns;

/// A change of a campaign's state reaches every worker within this time.
const TIME_TO_LIVE: Duration = Duration::from_secs(2);
/// Campaigns in the cache, at most.
const CAPACITY: u64 = 1024;

/// A campaign that was open when housekeeping last read them.
struct OpenCampaign {
    state: CampaignState,
    lane: Lane,
    /// How many reads in a row found this state.
    reads: u32,
}

/// The states of campaigns.
pub(super) struct CampaignStates {
    store: Arc<dyn Campaigns>,
    open: Mutex<HashMap<CampaignId, OpenCampaign>>,
    /// Campaigns that are not in `open`; `None` if the store has no such campaign or cannot be
    /// read.
    others: Cache<CampaignId, Option<(CampaignState, Lane)>>,
}

impl CampaignStates {
    pub(super) fn new(store: Arc<dyn Campaigns>) -> Self {
        let others = Cache::builder().max_capacity(CAPACITY).time_to_live(TIME_TO_LIVE).build();
        Self { store, open: Mutex::default(), others }
    }

    /// Replaces the states of the open campaigns with those that were just read.
    ///
    /// A running campaign that is paused counts as paused from the second read on. By then this
    /// worker no longer consumes its sub-queue, so that a job set aside there does not come back.
    pub(super) fn update(&self, campaigns: &[Campaign]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *open);
        open.extend(campaigns.iter().map(|&Campaign { id, state, lane, .. }| {
            let reads = match before.get(&id) {
                Some(before) if before.state == state => before.reads.saturating_add(1),
                Some(_) => 1,
                // This worker has not consumed its sub-queue yet.
                None => u32::MAX,
            };
            (id, OpenCampaign { state, lane, reads })
        }));
    }

    /// The state to apply to a job of `campaign` that came from `lane`.
    ///
    /// Jobs of an unknown campaign run: each ends with an outcome. So do jobs while the store
    /// cannot be read: their results wait for the store anyway.
    pub(super) async fn state_for(&self, campaign: CampaignId, lane: Lane) -> CampaignState {
        let known = match self.open_campaign(campaign) {
            Some(open) => Some(open),
            // Concurrent calls for one campaign share one query.
            None => self.others.get_with(campaign, self.read(campaign)).await,
        };
        match known {
            // A paused campaign's sub-queue holds jobs of the campaign's own lane only.
            Some((CampaignState::Paused, own)) if own != lane => CampaignState::Running,
            Some((state, _)) => state,
            None => CampaignState::Running,
        }
    }

    fn open_campaign(&self, campaign: CampaignId) -> Option<(CampaignState, Lane)> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&campaign).map(|open| match open.state {
            CampaignState::Paused if open.reads < 2 => (CampaignState::Running, open.lane),
            state => (state, open.lane),
        })
    }

    async fn read(&self, campaign: CampaignId) -> Option<(CampaignState, Lane)> {
        match self.store.campaign(campaign).await {
            Ok(found) => found.map(|found| (found.state, found.lane)),
            Err(error) => {
                tracing::warn!(%campaign, %error, "failed to read a campaign's state; its jobs \
                    are processed");
                None
            }
        }
    }
}
