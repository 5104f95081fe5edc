//! Ending jobs: commit the outcomes, announce them, acknowledge the deliveries; in that order.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::{Mutex, mpsc};

use super::process::Processed;
use crate::domain::{
    Disposition, Job, JobRecord, OutcomeEvent, OutcomeKind, SourceName, SubQueue, SubQueueOf,
};
use crate::queue::{Delivery, JobQueue, QueueError, backoff};
use crate::store::{Recorded, Store, StoreError};
use crate::telemetry::metrics;
use crate::telemetry::vitals::{InHand, Vitals};

/// By how much the waits are longer between attempts at an image that its source, which works
/// otherwise, does not give; and at most.
const SLOWLY: u32 = 120;
const LONGEST_SLOWLY: Duration = Duration::from_secs(600);

/// The longest pause before a backend is tried again: it may be back, and nothing else is done
/// meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A processed job that waits to be settled.
pub(super) struct Finished {
    pub delivery: Delivery,
    pub processed: Processed,
    pub in_hand: InHand,
}

/// Settles what the pipeline finished.
#[derive(Clone)]
pub(super) struct Settler {
    pub queue: Arc<dyn JobQueue>,
    pub store: Arc<dyn Store>,
    pub vitals: Arc<Vitals>,
    pub backoff: Duration,
    pub backoff_most: Duration,
    /// Results in one transaction, at most.
    pub batch: usize,
    /// Sources at which jobs wait or waited, as the store knows.
    pub noted: Arc<Mutex<HashSet<SourceName>>>,
}

impl Settler {
    /// Takes what is finished, in batches that form from backlog, until the sender is gone.
    pub async fn run(self, mut finished: mpsc::Receiver<Finished>) {
        let mut batch = Vec::with_capacity(self.batch);
        while finished.recv_many(&mut batch, self.batch).await > 0 {
            let mut records = Vec::with_capacity(batch.len());
            let mut deliveries = Vec::with_capacity(batch.len());
            let (mut put_back, mut in_hand) = (Vec::new(), Vec::with_capacity(batch.len()));
            for Finished { delivery, processed, in_hand: one } in batch.drain(..) {
                in_hand.push(one);
                match processed {
                    Processed::Ended(record) => {
                        records.push(*record);
                        deliveries.push(delivery);
                    }
                    Processed::Transient(reason) => {
                        let retry =
                            Self::retry(&delivery, &reason, self.backoff, self.backoff_most);
                        put_back.push((delivery, retry));
                    }
                    Processed::Unanswered(reason) => {
                        let retry = Self::retry(
                            &delivery,
                            &reason,
                            self.backoff.saturating_mul(SLOWLY),
                            LONGEST_SLOWLY,
                        );
                        put_back.push((delivery, retry));
                    }
                    Processed::Deferred(wait) => {
                        metrics::put_back("defer");
                        put_back.push((delivery, Disposition::Defer(wait)));
                    }
                    Processed::SetAside { sub_queue, reason } => {
                        metrics::put_back("hold");
                        tracing::debug!(job = %delivery.job().id, %sub_queue, reason, "waits");
                        self.set_source_status(&sub_queue, &reason).await;
                        put_back.push((delivery, Disposition::SetAside(sub_queue)));
                    }
                    Processed::Dropped => {
                        metrics::put_back("drop");
                        put_back.push((delivery, Disposition::Done));
                    }
                }
            }
            join_all(
                put_back.into_iter().map(|(delivery, disposition)| settle(delivery, disposition)),
            )
            .await;
            if !records.is_empty() {
                self.end(&records, deliveries).await;
            }
            drop(in_hand);
        }
    }

    /// While store or queue are away, full or refuse this worker the right, the batch waits here,
    /// unsettled: that stops the consumer at its prefetch, and no job spends its attempts on a
    /// fault that is not its own. A worker that ended instead would be started again, take the same
    /// jobs and end again, until their attempts are spent.
    ///
    /// A record that the store refuses for what it says is buried, and only that one: its worker
    /// and its batch-mates go on.
    async fn end(&self, records: &[JobRecord], deliveries: Vec<Delivery>) {
        let started = Instant::now();
        let (mut pause, mut wait) = (self.backoff, self.vitals.waits.begin("store"));
        let recorded = loop {
            let error = match self.store.record(records).await {
                Ok(recorded) => break recorded,
                Err(error) => error,
            };
            match error {
                StoreError::Invalid(_) if records.len() > 1 => {
                    drop(wait);
                    for (record, delivery) in records.iter().zip(deliveries) {
                        Box::pin(self.end(std::slice::from_ref(record), vec![delivery])).await;
                    }
                    return;
                }
                StoreError::Invalid(reason) => {
                    drop(wait);
                    for delivery in deliveries {
                        tracing::error!(job = %delivery.job().id, reason, "the store refuses the \
                            job's outcome; the job is buried");
                        settle(
                            delivery,
                            Disposition::Bury(format!("its outcome cannot be stored: {reason}")),
                        )
                        .await;
                    }
                    return;
                }
                error => {
                    metrics::backend_wait("store");
                    if wait.because(error.to_string()) {
                        tracing::warn!(jobs = records.len(), %error, "results wait for the store");
                    }
                    self.pause(&mut pause).await;
                }
            }
        };
        wait.done();
        metrics::batch("record", records.len());
        metrics::batch_took("record", started.elapsed());
        // Announce the stored outcome, not the redelivery's: the image may have disappeared since.
        let event = |(record, recorded): (&JobRecord, &Recorded)| {
            OutcomeEvent::new(record, recorded.image, recorded.end(record))
        };
        let events: Vec<OutcomeEvent> = records.iter().zip(&recorded).map(event).collect();
        metrics::ended(records, &events);
        let started = Instant::now();
        (pause, wait) = (self.backoff, self.vitals.waits.begin("queue"));
        while let Err(error) = self.queue.announce(&events).await {
            if matches!(error, QueueError::Closed) {
                break;
            }
            metrics::backend_wait("queue");
            if wait.because(error.to_string()) {
                tracing::warn!(jobs = records.len(), %error, "recorded outcomes wait for the queue \
                    to take their news");
            }
            self.pause(&mut pause).await;
        }
        wait.done();
        metrics::batch_took("announce", started.elapsed());
        // At once: those that wait for the broker's word wait together.
        let settling = events.into_iter().zip(deliveries).map(
            |(OutcomeEvent { end, .. }, delivery)| async move {
                let disposition = match end.outcome {
                    OutcomeKind::Failed => Disposition::Bury(end.reason.unwrap_or_default()),
                    _ => Disposition::Done,
                };
                settle(delivery, disposition).await;
            },
        );
        join_all(settling).await;
    }

    /// Notes the source at which a job is about to wait, so that every worker knows of it, whatever
    /// becomes of this one.
    async fn set_source_status(&self, sub_queue: &SubQueue, reason: &str) {
        let SubQueueOf::Source(source) = &sub_queue.of else { return };
        if !self.noted.lock().await.insert(source.clone()) {
            return;
        }
        let (mut pause, mut wait) = (self.backoff, self.vitals.waits.begin("store"));
        while let Err(error) = self.store.set_source_status(source, Some(reason)).await {
            if let StoreError::Invalid(reason) = &error {
                tracing::error!(%source, reason, "the name of a source cannot be stored: only \
                    workers that were told of it take its jobs");
                break;
            }
            metrics::backend_wait("store");
            if wait.because(error.to_string()) {
                tracing::warn!(%source, %error, "jobs of a source that does not work wait for the \
                    store to take its name");
            }
            self.pause(&mut pause).await;
        }
        wait.done();
    }

    async fn pause(&self, pause: &mut Duration) {
        tokio::time::sleep(*pause).await;
        *pause = pause.saturating_mul(2).min(self.backoff_most).min(LONGEST_PAUSE);
    }

    /// The next attempt after a wait that is doubled each time from `first`, at most `most`.
    fn retry(delivery: &Delivery, reason: &str, first: Duration, most: Duration) -> Disposition {
        let Job { id, attempt, image, .. } = delivery.job();
        let wait = backoff(*attempt, *id, first, most);
        tracing::warn!(job = %id, %image, attempt, reason, "will be tried again");
        metrics::put_back("retry");
        Disposition::Retry(wait)
    }
}

/// A settlement that was lost is not an error: the job comes again and finds its row.
async fn settle(delivery: Delivery, disposition: Disposition) {
    let job = delivery.job().id;
    match delivery.settle(disposition).await {
        Ok(true) => {}
        Ok(false) => {
            metrics::ack_lost();
            tracing::info!(%job, "the queue had taken the job back; it will be delivered again");
        }
        Err(error) => {
            metrics::ack_lost();
            tracing::warn!(%job, %error, "the job could not be settled; it will be delivered \
                again");
        }
    }
}
