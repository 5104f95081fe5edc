//! Processes many jobs concurrently. The consumer's prefetch bounds their number.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::active_profiles::ActiveProfiles;
use super::campaign_states::CampaignStates;
use super::housekeeping::Housekeeping;
use super::process::{Process, Processed};
use super::settle::{Finished, Settler};
use crate::domain::{
    Backoff, CampaignId, CampaignState, EnrolRules, Job, Lane, ProfileId, SubQueue, WaitReason,
};
use crate::queue::{Consumer, Delivery, JobQueue, QueueError};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;
use crate::telemetry::vitals::Vitals;

/// Why a worker ended before it was asked to stop.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The queue cannot be used.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The store cannot be used, or this worker may not write to it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The networks can no longer be run.
    #[error(
        "{0}. The jobs in flight are put back without an attempt spent. Start again; with \
            runtime.device = \"auto\", the CPU takes over while the GPU cannot be used"
    )]
    Device(String),
    /// A task of the worker panicked.
    #[error("worker task panicked: {0}")]
    Panicked(#[from] JoinError),
}

/// The settings of a worker.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Lanes to take jobs from.
    pub lanes: Vec<Lane>,
    /// Unsettled jobs at once, at most; as many enrolments in addition.
    pub in_flight: usize,
    /// Results in one transaction, at most.
    pub record_batch: usize,
    /// Wait before the second attempt.
    pub backoff: Duration,
    /// Longest wait between attempts.
    pub backoff_most: Duration,
    /// Time to finish the jobs in flight after the worker is asked to stop.
    pub drain: Duration,
    /// The rules of enrolments.
    pub enrol: EnrolRules,
}

/// A worker.
pub struct Worker {
    /// Where jobs come from.
    pub queue: Arc<dyn JobQueue>,
    /// Where results go.
    pub store: Arc<dyn Store>,
    /// Turns jobs into results.
    pub processor: Arc<dyn Process>,
    /// Settings.
    pub settings: WorkerSettings,
    /// Records the waits for backends and the age of the jobs in flight.
    pub vitals: Arc<Vitals>,
}

impl Worker {
    /// Works until `stop` is cancelled or the queue is closed. Then finishes the jobs in flight,
    /// within the drain time. Jobs that are not settled by then are redelivered.
    ///
    /// # Errors
    /// If the queue or the store cannot be used at the start, the networks work no longer, or the
    /// store is damaged. Other errors are waited out.
    pub async fn run(self, stop: CancellationToken) -> Result<(), WorkerError> {
        self.check_access().await?;
        let settings = self.settings.clone();
        let mut consumer = match self.queue.consume(&settings.lanes, settings.in_flight).await {
            // Nothing was left to do before the worker began.
            Err(QueueError::Closed) => return Ok(()),
            consumer => consumer?,
        };
        self.vitals.note_consuming();
        let campaigns = Arc::new(CampaignStates::new(self.store.clone()));
        let (wanted, sub_queues) = watch::channel(BTreeSet::new());
        // A set of one task, which is aborted when the set is dropped.
        let mut housekeeping = JoinSet::new();
        let active = Arc::new(ActiveProfiles::new(self.store.clone()));
        housekeeping.spawn(self.housekeeping(campaigns.clone(), active.clone()).run(wanted));
        let mut pipeline = Pipeline::start(self, campaigns, active);
        let taken =
            pipeline.take_jobs(consumer.as_mut(), sub_queues, &mut housekeeping, &stop).await;
        if let Err(error @ WorkerError::Panicked(_)) = taken {
            return Err(error);
        }
        pipeline.drain(settings.drain).await?;
        taken
    }

    /// Temporary errors are retried later; a missing right is an error now.
    async fn check_access(&self) -> Result<(), WorkerError> {
        self.store.register_profile(self.processor.profile()).await?;
        if let Err(error @ StoreError::Unusable(_)) = self.store.try_writing().await {
            return Err(error.into());
        }
        if let Err(error @ QueueError::Unusable(_)) = self.queue.try_publishing().await {
            return Err(error.into());
        }
        Ok(())
    }

    fn housekeeping(
        &self,
        campaigns: Arc<CampaignStates>,
        active_profiles: Arc<ActiveProfiles>,
    ) -> Housekeeping {
        Housekeeping {
            store: self.store.clone(),
            queue: self.queue.clone(),
            lanes: self.settings.lanes.clone(),
            profile: self.processor.profile().id(),
            breakers: self.processor.breakers().cloned(),
            campaigns,
            active_profiles,
        }
    }
}

/// The jobs in flight and the tasks that settle them. All are aborted when it is dropped.
struct Pipeline {
    processor: Arc<dyn Process>,
    /// The id of the processor's profile.
    profile: ProfileId,
    active_profiles: Arc<ActiveProfiles>,
    campaigns: Arc<CampaignStates>,
    vitals: Arc<Vitals>,
    jobs: JoinSet<()>,
    settlers: JoinSet<()>,
    /// Enrolments have their own settler, so that they do not wait for a batch of other jobs.
    finished_enrolments: mpsc::Sender<Finished>,
    finished: mpsc::Sender<Finished>,
    damage: watch::Receiver<Option<String>>,
}

impl Pipeline {
    fn start(
        worker: Worker,
        campaigns: Arc<CampaignStates>,
        active_profiles: Arc<ActiveProfiles>,
    ) -> Self {
        let Worker { queue, store, processor, settings, vitals } = worker;
        let (damage, found_damage) = watch::channel(None);
        let settler = Settler {
            damage: Arc::new(damage),
            queue,
            store,
            vitals: vitals.clone(),
            backoff: Backoff { first: settings.backoff, most: settings.backoff_most },
            batch: settings.record_batch,
            enrol: settings.enrol,
            reported: Arc::default(),
            chips: processor.chips().cloned(),
        };
        let mut settlers = JoinSet::new();
        let [finished_enrolments, finished] = [(); 2].map(|()| {
            let (finished, to_settle) = mpsc::channel(settings.in_flight.max(1));
            settlers.spawn(settler.clone().run(to_settle));
            finished
        });
        let jobs = JoinSet::new();
        Self {
            profile: processor.profile().id(),
            processor,
            active_profiles,
            campaigns,
            vitals,
            jobs,
            settlers,
            finished_enrolments,
            finished,
            damage: found_damage,
        }
    }

    /// Takes and processes jobs until `stop` is cancelled, the queue is closed or a settler
    /// panicked.
    ///
    /// # Errors
    /// If housekeeping panicked, the networks work no longer, or the store is damaged.
    async fn take_jobs(
        &mut self,
        consumer: &mut dyn Consumer,
        mut sub_queues: watch::Receiver<BTreeSet<SubQueue>>,
        housekeeping: &mut JoinSet<()>,
        stop: &CancellationToken,
    ) -> Result<(), WorkerError> {
        let processor = self.processor.clone();
        let lost = processor.lost();
        tokio::pin!(lost);
        loop {
            let delivery = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                reason = &mut lost => return Err(WorkerError::Device(reason)),
                // Fails only if the settlers ended.
                Ok(()) = self.damage.changed() => {
                    let how = self.damage.borrow().clone().unwrap_or_default();
                    return Err(StoreError::Damaged(how).into());
                }
                // Settlers and housekeeping end early only if they panic.
                () = self.finished.closed() => return Ok(()),
                () = self.finished_enrolments.closed() => return Ok(()),
                Some(ended) = housekeeping.join_next() => return Ok(ended?),
                Some(ended) = self.jobs.join_next() => {
                    log_panic(&ended);
                    continue;
                }
                Ok(()) = sub_queues.changed() => {
                    consumer.take_from(sub_queues.borrow_and_update().clone());
                    continue;
                }
                delivery = consumer.next() => delivery,
            };
            match delivery {
                Some(delivery) => self.spawn_job(delivery),
                None => return Ok(()),
            }
        }
    }

    fn spawn_job(&mut self, delivery: Delivery) {
        let (processor, campaigns) = (self.processor.clone(), self.campaigns.clone());
        let (profiles, own) = (self.active_profiles.clone(), self.profile.clone());
        let Job { id, lane, attempt, campaign, .. } = *delivery.job();
        let is_enrolment = lane == Lane::Enrol;
        let finished =
            if is_enrolment { &self.finished_enrolments } else { &self.finished }.clone();
        let in_flight = self.vitals.begin_job();
        let shown = campaign.map(tracing::field::display);
        let span = tracing::info_span!("job", job = %id, %lane, attempt, campaign = shown);
        let job = async move {
            let processed = match stopped_by_campaign(&campaigns, lane, campaign).await {
                Some(stopped) => stopped,
                None if profiles.is_for_others(delivery.job(), &own).await => {
                    let gallery = delivery.job().gallery.clone();
                    tracing::debug!(%gallery, "another profile is active: the job waits for it");
                    Processed::Waits(WaitReason::OtherActiveProfile(gallery))
                }
                None => processor.process(delivery.job()).await,
            };
            // Fails only if the settler panicked; the dropped delivery is then a retry.
            finished.send(Finished { delivery, processed, in_flight }).await.ok();
        };
        self.jobs.spawn(job.instrument(span));
    }

    /// Finishes the jobs in flight and settles them, in `time` at most.
    async fn drain(self, time: Duration) -> Result<(), WorkerError> {
        let Self { mut jobs, mut settlers, finished_enrolments, finished, processor, .. } = self;
        // The settlers end after the last job.
        drop((finished_enrolments, finished));
        let drained = tokio::time::timeout(time, async {
            while let Some(ended) = jobs.join_next().await {
                log_panic(&ended);
            }
            while let Some(ended) = settlers.join_next().await {
                ended?;
            }
            processor.finish().await;
            Ok(())
        });
        match drained.await {
            Ok(drained) => drained,
            Err(_) => {
                tracing::warn!(
                    "not all jobs in flight were settled within worker.drain_seconds; the others \
                        are redelivered"
                );
                jobs.shutdown().await;
                settlers.shutdown().await;
                Ok(())
            }
        }
    }
}

/// What becomes of a job whose campaign is paused or cancelled. `None` if the job may be processed.
async fn stopped_by_campaign(
    campaigns: &CampaignStates,
    lane: Lane,
    campaign: Option<CampaignId>,
) -> Option<Processed> {
    let campaign = campaign?;
    match campaigns.state_for(campaign, lane).await {
        CampaignState::Running => None,
        CampaignState::Paused => Some(Processed::Waits(WaitReason::CampaignPaused(campaign))),
        CampaignState::Cancelled => Some(Processed::Dropped),
    }
}

fn log_panic(ended: &Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        metrics::put_back("panic");
        tracing::error!("a job panicked; it is redelivered");
    }
}
