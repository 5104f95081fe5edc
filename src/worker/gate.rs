//! Whether a campaign's jobs are to be worked on: what an operator wants of it, looked up in the store now and then.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::domain::{Campaign, CampaignId, CampaignState};
use crate::store::Store;

/// A change of a campaign's state reaches every worker within this time.
const FRESH: Duration = Duration::from_secs(2);
/// Campaigns remembered at once; there are few.
const MOST: usize = 1024;

/// The states of campaigns, remembered for a moment.
pub(super) struct Gate {
    store: Arc<dyn Store>,
    seen: Mutex<HashMap<CampaignId, (CampaignState, Instant)>>,
    /// The campaigns that were open when the worker last looked, and for how many looks in a row they were as they are.
    open: std::sync::Mutex<HashMap<CampaignId, (CampaignState, u32)>>,
}

impl Gate {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, seen: Mutex::default(), open: std::sync::Mutex::default() }
    }

    /// Takes the states of the open campaigns from what was looked up just now. That one which ran is paused counts from the second look
    /// on: by then nobody takes from its place, and what comes by another way may be put there.
    pub(super) fn run(&self, campaigns: &[Campaign]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *open);
        open.extend(campaigns.iter().map(|campaign| {
            let looks = match before.get(&campaign.id) {
                Some((state, looks)) if *state == campaign.state => looks.saturating_add(1),
                Some(_) => 1,
                // Nobody here has taken from its place.
                None => u32::MAX,
            };
            (campaign.id, (campaign.state, looks))
        }));
    }

    fn known(&self, campaign: CampaignId) -> Option<CampaignState> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&campaign).map(|(state, looks)| match state {
            CampaignState::Paused if *looks < 2 => CampaignState::Running,
            state => *state,
        })
    }

    /// What is wanted of `campaign`. While the store cannot say, its jobs are worked on: their results wait for the store anyway. So
    /// are those of a campaign that is gone: each job ends in an outcome.
    pub(super) async fn state(&self, campaign: CampaignId) -> CampaignState {
        if let Some(state) = self.known(campaign) {
            return state;
        }
        // One look-up at a time: the others wait for it and find the answer.
        let mut seen = self.seen.lock().await;
        if let Some((state, at)) = seen.get(&campaign)
            && at.elapsed() < FRESH
        {
            return *state;
        }
        let state = match self.store.campaign(campaign).await {
            Ok(found) => found.map_or(CampaignState::Running, |found| found.state),
            Err(error) => {
                tracing::warn!(%campaign, %error, "the state of a campaign cannot be looked up; its jobs go on");
                CampaignState::Running
            }
        };
        if seen.len() >= MOST {
            seen.retain(|_, (_, at)| at.elapsed() < FRESH);
        }
        seen.insert(campaign, (state, Instant::now()));
        state
    }
}
