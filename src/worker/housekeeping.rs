//! Periodic housekeeping of a worker. It reads which campaigns are open and which sources work,
//! decides from which sub-queues the worker takes jobs, and removes those that are no longer
//! needed.
//!
//! The jobs of a campaign wait in a sub-queue. To pause the campaign, workers stop taking jobs from
//! its sub-queue; to cancel it, the sub-queue is deleted. No message is moved. The sub-queue of a
//! finished campaign is deleted after a delay, in which deliveries of lost workers come back; then
//! the campaign is closed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::active_profiles::ActiveProfiles;
use super::campaign_states::CampaignStates;
use super::circuit_breaker::{CircuitBreakers, SourceOutage};
use crate::domain::{
    Campaign, CampaignId, CampaignState, Lane, ProfileId, SourceName, SourceStatus, SubQueue,
    SubQueueOf,
};
use crate::queue::JobQueue;
use crate::store::{SOURCE_STATUS_TTL, Store, StoreError};

const INTERVAL: Duration = Duration::from_secs(1);
/// How long a campaign has been over or cancelled before its sub-queue is deleted.
const COMPLETE_FOR: Duration = Duration::from_secs(60);
const CANCELLED_FOR: Duration = Duration::from_secs(10);

pub(super) struct Housekeeping {
    pub(super) store: Arc<dyn Store>,
    pub(super) queue: Arc<dyn JobQueue>,
    pub(super) lanes: Vec<Lane>,
    pub(super) profile: ProfileId,
    /// `None` if the processor fetches no images.
    pub(super) breakers: Option<Arc<CircuitBreakers>>,
    pub(super) campaigns: Arc<CampaignStates>,
    pub(super) active_profiles: Arc<ActiveProfiles>,
}

/// What is kept from one round to the next.
#[derive(Default)]
struct RoundState {
    /// Finished campaigns, and since when they are finished.
    finished: HashMap<CampaignId, Instant>,
    /// Sources whose outage this worker wrote to the store, and when.
    reported: BTreeMap<SourceName, Instant>,
    /// All sources for which the store ever returned a status.
    sources: BTreeSet<SourceName>,
    /// Whether the last round failed. Only the first failure in a row is logged.
    failing: bool,
}

impl Housekeeping {
    /// Runs until it is aborted. Sends the sub-queues from which to take jobs whenever they change.
    pub(super) async fn run(self, sub_queues: watch::Sender<BTreeSet<SubQueue>>) {
        // Concurrently: a health check may hang until it times out.
        tokio::join!(
            self.repeat_rounds(&sub_queues),
            repeat_health_checks(self.breakers.as_deref())
        );
    }

    async fn repeat_rounds(&self, sub_queues: &watch::Sender<BTreeSet<SubQueue>>) {
        let mut state = RoundState::default();
        let mut next = interval(INTERVAL);
        next.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            next.tick().await;
            match self.round(&mut state, sub_queues).await {
                Ok(()) => state.failing = false,
                Err(error) => {
                    if !std::mem::replace(&mut state.failing, true) {
                        tracing::warn!(%error, "failed to read campaigns and sources; jobs are \
                            taken from the same sub-queues as before");
                    }
                }
            }
        }
    }

    async fn round(
        &self,
        state: &mut RoundState,
        sub_queues: &watch::Sender<BTreeSet<SubQueue>>,
    ) -> Result<(), StoreError> {
        self.report_outages(state).await?;
        let campaigns = self.store.open_campaigns().await?;
        let statuses = self.store.source_statuses().await?;
        self.read_statuses(&statuses);
        state.sources.extend(statuses.into_iter().map(|source| source.name));
        // Jobs of a resumed campaign are accepted before its sub-queue is consumed, and that of a
        // paused one is no longer consumed before its jobs are set aside: no job moves twice.
        self.campaigns.update(&campaigns);
        let mut wanted = self.wanted_sub_queues(state, &campaigns);
        if self.lanes.contains(&Lane::Enrol) {
            let galleries = self.active_profiles.read_all(&self.profile).await?;
            wanted.extend(
                galleries
                    .into_iter()
                    .map(|name| SubQueue { lane: Lane::Enrol, of: SubQueueOf::Gallery(name) }),
            );
        }
        sub_queues.send_if_modified(|current| {
            let modified = *current != wanted;
            *current = wanted;
            modified
        });
        // The sub-queues of an in-memory queue end with the process, and campaigns of other
        // processes have none in it.
        if self.queue.is_shared() { self.clean_up(state, &campaigns).await } else { Ok(()) }
    }

    /// Writes to the store which sources are in an outage, and which no longer are.
    async fn report_outages(&self, state: &mut RoundState) -> Result<(), StoreError> {
        let outages = self.outages();
        for SourceOutage { source, reason, .. } in &outages {
            let reported = state.reported.get(source);
            if reported.is_none_or(|reported| reported.elapsed() >= SOURCE_STATUS_TTL / 4) {
                self.store.set_source_status(source, Some(reason)).await?;
                state.reported.insert(source.clone(), Instant::now());
            }
        }
        let recovered: Vec<SourceName> = state
            .reported
            .keys()
            .filter(|name| outages.iter().all(|outage| outage.source != **name))
            .cloned()
            .collect();
        for source in recovered {
            self.store.set_source_status(&source, None).await?;
            state.reported.remove(&source);
        }
        Ok(())
    }

    fn outages(&self) -> Vec<SourceOutage> {
        self.breakers.as_ref().map(|breakers| breakers.outages()).unwrap_or_default()
    }

    /// Passes the outages that any worker reported to the circuit breakers.
    fn read_statuses(&self, statuses: &[SourceStatus]) {
        let Some(breakers) = &self.breakers else { return };
        for SourceStatus { name, trouble, since } in statuses {
            let since: Option<Timestamp> = since.parse().ok();
            if let Some((reason, since)) = trouble.as_ref().zip(since) {
                let lasting = Timestamp::now().duration_since(since);
                breakers.note_reported(name, reason, lasting.try_into().unwrap_or_default());
            }
        }
    }

    /// The sub-queues from which to take jobs, in addition to the lanes.
    fn wanted_sub_queues(&self, state: &RoundState, campaigns: &[Campaign]) -> BTreeSet<SubQueue> {
        // Read again: an outage that others reported a moment ago may have begun here too.
        let outages = self.outages();
        let running = campaigns
            .iter()
            .filter(|campaign| {
                campaign.state == CampaignState::Running && campaign.profile == self.profile
            })
            .map(Campaign::sub_queue)
            .filter(|sub_queue| self.lanes.contains(&sub_queue.lane));
        let must_wait = |name: &SourceName| {
            outages.iter().any(|outage| outage.source == *name && !outage.given_up)
        };
        let of_sources = state
            .sources
            .iter()
            .filter(|name| !must_wait(name))
            .map(|name| SubQueueOf::Source(name.clone()));
        let in_each_lane = of_sources
            .chain([SubQueueOf::Profile(self.profile.clone())])
            .flat_map(|of| self.lanes.iter().map(move |&lane| SubQueue { lane, of: of.clone() }));
        running.chain(in_each_lane).collect()
    }

    /// Deletes the sub-queues of campaigns that finished long enough ago, and closes these
    /// campaigns.
    async fn clean_up(
        &self,
        state: &mut RoundState,
        campaigns: &[Campaign],
    ) -> Result<(), StoreError> {
        state.finished.retain(|id, _| campaigns.iter().any(|campaign| campaign.id == *id));
        for campaign in campaigns {
            let delay = match campaign.state {
                CampaignState::Cancelled => CANCELLED_FOR,
                _ if campaign.progress.is_over() => COMPLETE_FOR,
                _ => {
                    state.finished.remove(&campaign.id);
                    continue;
                }
            };
            let since = *state.finished.entry(campaign.id).or_insert_with(Instant::now);
            if since.elapsed() < delay {
                continue;
            }
            let sub_queue = campaign.sub_queue();
            // Jobs that wait for a complete campaign, duplicates or retried ones, are processed
            // first.
            let removed = match campaign.state {
                CampaignState::Cancelled => self.queue.remove(&sub_queue).await.map(|()| true),
                _ => self.queue.remove_empty(&sub_queue).await,
            };
            match removed {
                Ok(false) => continue,
                Ok(true) => self.store.close_campaign(campaign.id).await?,
                Err(error) => {
                    tracing::warn!(campaign = %campaign.id, %error, "failed to delete the \
                        sub-queue of a finished campaign")
                }
            }
            state.finished.insert(campaign.id, Instant::now());
        }
        Ok(())
    }
}

async fn repeat_health_checks(breakers: Option<&CircuitBreakers>) {
    let Some(breakers) = breakers else { return };
    let mut next = interval(INTERVAL);
    next.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        next.tick().await;
        breakers.check_health().await;
    }
}
