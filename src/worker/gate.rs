//! Whether a campaign's jobs are to be worked on: what an operator wants of it, looked up in the
//! store now and then.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::domain::{Campaign, CampaignId, CampaignState, Lane};
use crate::store::Store;

/// A change of a campaign's state reaches every worker within this time.
const FRESH: Duration = Duration::from_secs(2);
/// Campaigns remembered at once; there are few.
const MOST: usize = 1024;

/// What is wanted of a campaign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Standing {
    pub(super) state: CampaignState,
    /// The lane of its jobs, if it is known.
    pub(super) lane: Option<Lane>,
}

/// The states of campaigns, remembered for a moment.
pub(super) struct Gate {
    store: Arc<dyn Store>,
    seen: Mutex<HashMap<CampaignId, (Standing, Instant)>>,
    /// The campaigns that were open when the worker last looked, and for how many looks in a row
    /// they were as they are.
    open: std::sync::Mutex<HashMap<CampaignId, (Standing, u32)>>,
}

impl Gate {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, seen: Mutex::default(), open: std::sync::Mutex::default() }
    }

    /// Takes the states of the open campaigns from what was looked up just now. That one which ran
    /// is paused counts from the second look on: by then nobody takes from its place, and what
    /// comes by another way may be put there.
    pub(super) fn run(&self, campaigns: &[Campaign]) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::take(&mut *open);
        open.extend(campaigns.iter().map(|campaign| {
            let looks = match before.get(&campaign.id) {
                Some((before, looks)) if before.state == campaign.state => looks.saturating_add(1),
                Some(_) => 1,
                // Nobody here has taken from its place.
                None => u32::MAX,
            };
            (campaign.id, (Standing { state: campaign.state, lane: Some(campaign.lane) }, looks))
        }));
    }

    fn known(&self, campaign: CampaignId) -> Option<Standing> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.get(&campaign).map(|(standing, looks)| match standing.state {
            CampaignState::Paused if *looks < 2 => {
                Standing { state: CampaignState::Running, ..*standing }
            }
            _ => *standing,
        })
    }

    /// What is wanted of `campaign`. While the store cannot say, its jobs are worked on: their
    /// results wait for the store anyway. So are those of a campaign that is gone: each job ends in
    /// an outcome.
    pub(super) async fn standing(&self, campaign: CampaignId) -> Standing {
        if let Some(standing) = self.known(campaign) {
            return standing;
        }
        // One look-up at a time: the others wait for it and find the answer.
        let mut seen = self.seen.lock().await;
        if let Some((standing, at)) = seen.get(&campaign)
            && at.elapsed() < FRESH
        {
            return *standing;
        }
        let unknown = Standing { state: CampaignState::Running, lane: None };
        let standing = match self.store.campaign(campaign).await {
            Ok(found) => found
                .map_or(unknown, |found| Standing { state: found.state, lane: Some(found.lane) }),
            Err(error) => {
                tracing::warn!(%campaign, %error, "the state of a campaign cannot be looked up; \
                    its jobs go on");
                unknown
            }
        };
        if seen.len() >= MOST {
            seen.retain(|_, (_, at)| at.elapsed() < FRESH);
        }
        seen.insert(campaign, (standing, Instant::now()));
        standing
    }
}
