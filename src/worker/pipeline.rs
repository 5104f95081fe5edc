//! Many jobs in hand at once, bounded: what the consumer's prefetch lets in.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::gate::Gate;
use super::process::{Process, Processed};
use super::rounds::Rounds;
use super::settle::{Finished, Settler};
use crate::domain::{CampaignId, CampaignState, Job, Lane, SubQueue, SubQueueOf};
use crate::queue::{JobQueue, QueueError};
use crate::store::{Store, StoreError};
use crate::telemetry::metrics;
use crate::telemetry::vitals::Vitals;

/// Why a worker ended before it was told to.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The queue gave up.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The store cannot be used, or this worker may not write to it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A part of the worker panicked.
    #[error("the worker broke: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

/// A worker's bounds.
#[derive(Debug, Clone)]
pub struct WorkerSettings {
    /// Lanes to take jobs from.
    pub lanes: Vec<Lane>,
    /// Unsettled jobs at once, at most, and as many enrolments beside them.
    pub in_flight: usize,
    /// Results in one transaction, at most.
    pub record_batch: usize,
    /// Wait before the second attempt.
    pub backoff: Duration,
    /// Longest wait between attempts.
    pub backoff_most: Duration,
    /// Time for the jobs in hand once the worker is told to stop.
    pub drain: Duration,
}

/// A worker: a queue, a processor and a store.
pub struct Worker {
    /// Where jobs come from.
    pub queue: Arc<dyn JobQueue>,
    /// Where results go.
    pub store: Arc<dyn Store>,
    /// What turns one into the other.
    pub processor: Arc<dyn Process>,
    /// Bounds.
    pub settings: WorkerSettings,
    /// Where it notes what waits and how long jobs are in hand.
    pub vitals: Arc<Vitals>,
}

impl Worker {
    /// Works until `stop` is cancelled or the queue is closed; then finishes what is in hand,
    /// within the drain time. Jobs that are not settled by then are delivered again.
    ///
    /// # Errors
    /// If the queue or the store cannot be used at the start. What goes wrong with them later is
    /// waited out.
    pub async fn run(self, stop: CancellationToken) -> Result<(), WorkerError> {
        let Self { queue, store, processor, settings, vitals } = self;
        store.register_profile(processor.profile()).await?;
        // What passes is waited out later.
        if let Err(error @ StoreError::Unusable(_)) = store.try_writing().await {
            return Err(error.into());
        }
        if let Err(error @ QueueError::Unusable(_)) = queue.try_publishing().await {
            return Err(error.into());
        }
        let mut consumer = queue.consume(&settings.lanes, settings.in_flight).await?;
        vitals.note_consuming();
        let gate = Arc::new(Gate::new(store.clone()));
        let (places, mut wanted) = watch::channel(BTreeSet::new());
        let rounds = Rounds {
            store: store.clone(),
            queue: queue.clone(),
            lanes: settings.lanes.clone(),
            profile: processor.profile().id(),
            breakers: processor.breakers().cloned(),
            gate: gate.clone(),
        };
        let looking = CancellationToken::new();
        let _looking = looking.clone().drop_guard();
        let mut looking_up = tokio::spawn(rounds.run(places, looking));
        let settler = Settler {
            queue,
            store,
            vitals: vitals.clone(),
            backoff: settings.backoff,
            backoff_most: settings.backoff_most,
            batch: settings.record_batch,
            noted: Arc::default(),
        };
        // Enrolments are settled beside the others: they do not wait for a batch of those to end.
        let mut settling = JoinSet::new();
        let [urgent, finished] = [(); 2].map(|()| {
            let (finished, to_settle) = mpsc::channel(settings.in_flight.max(1));
            settling.spawn(settler.clone().run(to_settle));
            finished
        });
        let mut jobs = JoinSet::new();
        loop {
            let delivery = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                // The settler only ends early when it panics.
                () = finished.closed() => break,
                () = urgent.closed() => break,
                // It ends early only when it panics.
                ended = &mut looking_up => {
                    ended?;
                    break;
                }
                Some(ended) = jobs.join_next() => {
                    log_panic(&ended);
                    continue;
                }
                Ok(()) = wanted.changed() => {
                    consumer.take_from(wanted.borrow_and_update().clone());
                    continue;
                }
                delivery = consumer.next() => delivery,
            };
            let Some(delivery) = delivery else { break };
            let (processor, gate) = (processor.clone(), gate.clone());
            let finished =
                if delivery.job().lane == Lane::Enrol { urgent.clone() } else { finished.clone() };
            let Job { id, lane, attempt, campaign, .. } = *delivery.job();
            let in_hand = vitals.take_job();
            let span = tracing::info_span!("job", job = %id, %lane, attempt, campaign = campaign.map(tracing::field::display));
            jobs.spawn(
                async move {
                    let processed = match unwanted(&gate, lane, campaign).await {
                        None => processor.process(delivery.job()).await,
                        Some(otherwise) => otherwise,
                    };
                    // Refused only when the settler is gone; the dropped delivery is then a retry.
                    finished.send(Finished { delivery, processed, in_hand }).await.ok();
                }
                .instrument(span),
            );
        }
        drop((urgent, finished));
        let drained = tokio::time::timeout(settings.drain, async {
            while let Some(ended) = jobs.join_next().await {
                log_panic(&ended);
            }
            while let Some(settled) = settling.join_next().await {
                settled?;
            }
            Ok::<(), WorkerError>(())
        });
        match drained.await {
            Ok(settled) => settled?,
            Err(_) => {
                tracing::warn!(
                    "not everything in hand was finished and settled in time; what was not will be \
                        delivered again"
                );
                jobs.shutdown().await;
                settling.shutdown().await;
            }
        }
        Ok(())
    }
}

/// What becomes of a job of `campaign` that is not to be worked on now; none if it is.
async fn unwanted(gate: &Gate, lane: Lane, campaign: Option<CampaignId>) -> Option<Processed> {
    let campaign = campaign?;
    let standing = gate.standing(campaign).await;
    match standing.state {
        CampaignState::Running => None,
        // A job of another lane than its campaign's is somebody's own, and has no place at the
        // campaign's.
        CampaignState::Paused if standing.lane != Some(lane) => None,
        CampaignState::Paused => {
            let sub_queue = SubQueue { lane, of: SubQueueOf::Campaign(campaign) };
            Some(Processed::SetAside { sub_queue, reason: "its campaign is paused".into() })
        }
        CampaignState::Cancelled => Some(Processed::Dropped),
    }
}

fn log_panic(ended: &Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        metrics::put_back("panic");
        tracing::error!("a job panicked; it will be delivered again");
    }
}
