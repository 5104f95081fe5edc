//! What a worker looks up now and then: which campaigns run, and whether its sources work; and with
//! that, from where it takes jobs.
//!
//! Each campaign's jobs wait at a place of their own, so pausing one is to take no more from there,
//! and cancelling one is to remove the place: nothing moves. A campaign that is over has its place
//! removed and is closed, after a while in which whatever a lost worker held of it has come back.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use super::breaker::{Breakers, Trouble};
use super::gate::Gate;
use crate::domain::{
    Campaign, CampaignId, CampaignState, Lane, ProfileId, SourceName, SourceStatus, SubQueue,
    SubQueueOf,
};
use crate::queue::JobQueue;
use crate::store::{SOURCE_STATUS_TTL, Store, StoreError};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);
/// How long a campaign has been over before its place goes: complete, or cancelled.
const COMPLETE_FOR: Duration = Duration::from_secs(60);
const CANCELLED_FOR: Duration = Duration::from_secs(10);

/// What a worker looks up now and then.
pub(super) struct Rounds {
    pub(super) store: Arc<dyn Store>,
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) lanes: Vec<Lane>,
    pub(super) profile: ProfileId,
    /// None where the sources are nobody's to judge.
    pub(super) breakers: Option<Arc<Breakers>>,
    pub(super) gate: Arc<Gate>,
}

/// What is remembered from one look to the next.
#[derive(Default)]
struct Memory {
    /// Since when campaigns have been over.
    over: HashMap<CampaignId, Instant>,
    /// Sources whose troubles were noted, and when.
    noted: BTreeMap<SourceName, Instant>,
    /// Every source that was ever noted by anybody.
    sources: BTreeSet<SourceName>,
    /// Whether the last look failed: that is told once.
    failing: bool,
}

impl Rounds {
    /// Looks, and tells from where to take jobs, until `stop` is cancelled.
    pub(super) async fn run(
        self,
        places: watch::Sender<BTreeSet<SubQueue>>,
        stop: CancellationToken,
    ) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.look_again_and_again(&places) => {}
            // Beside the rounds: a probe that hangs takes its time.
            () = probe(self.breakers.clone()) => {}
        }
    }

    async fn look_again_and_again(&self, places: &watch::Sender<BTreeSet<SubQueue>>) {
        let mut memory = Memory::default();
        let mut next = interval(EVERY);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            next.tick().await;
            match self.look(&mut memory, places).await {
                Ok(()) => memory.failing = false,
                Err(error) => {
                    if !std::mem::replace(&mut memory.failing, true) {
                        tracing::warn!(%error, "campaigns and sources cannot be looked up; jobs \
                            are taken from where they were");
                    }
                }
            }
        }
    }

    async fn look(
        &self,
        memory: &mut Memory,
        places: &watch::Sender<BTreeSet<SubQueue>>,
    ) -> Result<(), StoreError> {
        self.note_troubles(memory).await?;
        let campaigns = self.store.open_campaigns().await?;
        let noted = self.store.source_statuses().await?;
        self.remember(&noted);
        memory.sources.extend(noted.into_iter().map(|source| source.name));
        // What runs again is let through before it is taken from, and what is paused is taken from
        // no more before it is held back: so no job goes to and fro.
        self.gate.run(&campaigns);
        let wanted = self.places(memory, &campaigns);
        places.send_if_modified(|places| {
            let modified = *places != wanted;
            *places = wanted;
            modified
        });
        // The places of a queue of this process end with it; those of others' campaigns are none of
        // its business.
        if self.queue.is_shared() { self.sweep(memory, &campaigns).await } else { Ok(()) }
    }

    /// Notes how the sources in trouble are.
    async fn note_troubles(&self, memory: &mut Memory) -> Result<(), StoreError> {
        let troubles = self.troubles();
        for trouble in &troubles {
            let noted = memory.noted.get(&trouble.source);
            if noted.is_none_or(|noted| noted.elapsed() >= SOURCE_STATUS_TTL / 4) {
                self.store.set_source_status(&trouble.source, Some(&trouble.reason)).await?;
                memory.noted.insert(trouble.source.clone(), Instant::now());
            }
        }
        let well: Vec<SourceName> = memory
            .noted
            .keys()
            .filter(|name| troubles.iter().all(|trouble| trouble.source != **name))
            .cloned()
            .collect();
        for name in well {
            self.store.set_source_status(&name, None).await?;
            memory.noted.remove(&name);
        }
        Ok(())
    }

    fn troubles(&self) -> Vec<Trouble> {
        self.breakers.as_ref().map(|breakers| breakers.troubles()).unwrap_or_default()
    }

    /// Takes note of what any worker noted of sources.
    fn remember(&self, sources: &[SourceStatus]) {
        let Some(breakers) = &self.breakers else { return };
        for SourceStatus { name, trouble, since } in sources {
            let since: Option<Timestamp> = since.parse().ok();
            if let Some((trouble, since)) = trouble.as_ref().zip(since) {
                let lasting = Timestamp::now().duration_since(since);
                breakers.remember(name, trouble, lasting.try_into().unwrap_or_default());
            }
        }
    }

    /// From where to take beside the lanes.
    fn places(&self, memory: &Memory, campaigns: &[Campaign]) -> BTreeSet<SubQueue> {
        // As it is now: a source that others noted a moment ago may be in trouble here too.
        let troubles = self.troubles();
        let running = campaigns.iter().filter(|campaign| {
            campaign.state == CampaignState::Running && campaign.profile == self.profile
        });
        let running = running.map(Campaign::sub_queue);
        let waits = |name: &SourceName| {
            troubles.iter().any(|trouble| trouble.source == *name && !trouble.given_up)
        };
        let well = memory
            .sources
            .iter()
            .filter(|name| !waits(name))
            .map(|name| SubQueueOf::Source(name.clone()));
        let others = well.chain([SubQueueOf::Profile(self.profile.clone())]);
        let in_lanes = others
            .flat_map(|of| self.lanes.iter().map(move |&lane| SubQueue { lane, of: of.clone() }));
        running.filter(|place| self.lanes.contains(&place.lane)).chain(in_lanes).collect()
    }

    /// Removes the places of campaigns that have been over for long enough, and closes these.
    async fn sweep(&self, memory: &mut Memory, campaigns: &[Campaign]) -> Result<(), StoreError> {
        memory.over.retain(|id, _| campaigns.iter().any(|campaign| campaign.id == *id));
        for campaign in campaigns {
            let long = match campaign.state {
                CampaignState::Cancelled => CANCELLED_FOR,
                _ if campaign.progress.is_complete() => COMPLETE_FOR,
                _ => {
                    memory.over.remove(&campaign.id);
                    continue;
                }
            };
            let since = *memory.over.entry(campaign.id).or_insert_with(Instant::now);
            if since.elapsed() < long {
                continue;
            }
            let place = campaign.sub_queue();
            // What waits of a campaign that is complete are repeats; they are worked on first, and
            // end there.
            let empty = campaign.state == CampaignState::Cancelled
                || matches!(
                    self.queue.waiting(std::slice::from_ref(&place)).await.as_deref(),
                    Ok([0])
                );
            if !empty {
                continue;
            }
            match self.queue.remove(&place).await {
                Ok(()) => self.store.close_campaign(campaign.id).await?,
                Err(error) => {
                    tracing::warn!(campaign = %campaign.id, %error, "the place of a campaign that \
                        is over cannot be removed")
                }
            }
            memory.over.insert(campaign.id, Instant::now());
        }
        Ok(())
    }
}

/// Probes the sources in trouble, for ever.
async fn probe(breakers: Option<Arc<Breakers>>) {
    let Some(breakers) = breakers else { return std::future::pending().await };
    let mut next = interval(EVERY);
    next.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        next.tick().await;
        breakers.probe().await;
    }
}
