//! Settles deliveries: commits the outcomes of jobs, announces them, then acknowledges the
//! deliveries, in this order.

use std::collections::HashSet;
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::future::join_all;
use tokio::sync::{Mutex, mpsc, watch};

use super::enrolling::propose;
use super::process::Processed;
use crate::domain::{
    Backoff, Disposition, EnrolRules, Job, JobRecord, OutcomeEvent, OutcomeKind, SourceName,
    WaitReason,
};
use crate::images::ChipCache;
use crate::queue::{Delivery, JobQueue, QueueError};
use crate::store::{Recorded, Store, StoreError};
use crate::telemetry::metrics;
use crate::telemetry::vitals::{JobInFlight, Vitals};

/// The longest pause before a backend is tried again. It is short, because the batch waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// A processed job whose delivery is to be settled.
pub(super) struct Finished {
    pub delivery: Delivery,
    pub processed: Processed,
    pub in_flight: JobInFlight,
}

/// Settles what the pipeline finished.
#[derive(Clone)]
pub(super) struct Settler {
    pub queue: Arc<dyn JobQueue>,
    pub store: Arc<dyn Store>,
    pub vitals: Arc<Vitals>,
    pub backoff: Backoff,
    /// Results in one transaction, at most.
    pub batch: usize,
    /// The rules of enrolments.
    pub enrol: EnrolRules,
    /// What keeps the chips of images.
    pub chips: Option<Arc<ChipCache>>,
    /// Sources whose outage was written to the store when one of their jobs was first set aside.
    pub reported: Arc<Mutex<HashSet<SourceName>>>,
    /// How the store is damaged, once it is found to be.
    pub damage: Arc<watch::Sender<Option<String>>>,
}

impl Settler {
    /// Settles in batches until the sender is dropped. A batch is whatever has finished since the
    /// last one.
    pub async fn run(self, mut finished: mpsc::Receiver<Finished>) {
        let mut batch = Vec::with_capacity(self.batch);
        while finished.recv_many(&mut batch, self.batch).await > 0 {
            let mut records = Vec::with_capacity(batch.len());
            let mut deliveries = Vec::with_capacity(batch.len());
            let (mut put_back, mut jobs) = (Vec::new(), Vec::with_capacity(batch.len()));
            for Finished { delivery, processed, in_flight } in batch.drain(..) {
                jobs.push(in_flight);
                let disposition = match processed {
                    Processed::Ended(record) => {
                        records.push(*record);
                        deliveries.push(delivery);
                        continue;
                    }
                    Processed::Waits(reason) => self.disposition(&delivery, &reason).await,
                    Processed::Dropped => {
                        metrics::put_back("drop");
                        Disposition::Done
                    }
                };
                put_back.push((delivery, disposition));
            }
            join_all(
                put_back.into_iter().map(|(delivery, disposition)| settle(delivery, disposition)),
            )
            .await;
            if !records.is_empty() {
                self.propose(&mut records).await;
                self.end(&records, deliveries).await;
            }
            drop(jobs);
        }
    }

    /// Puts the proposals into the enrolments among `records`. The comparison with other subjects
    /// waits for the store.
    async fn propose(&self, records: &mut [JobRecord]) {
        let comparisons = propose(records, &self.enrol);
        let Some(threshold) = self.enrol.look_alike_threshold else { return };
        for comparison in comparisons {
            let probes = comparison.probes();
            let (gallery, profile) = (&comparison.gallery, &comparison.profile);
            let ask = || self.store.look_alikes(gallery, profile, &probes);
            let found = self
                .until_accepted("store", ask, |_| false, |error| {
                    // Nobody is enrolled without an answer: this waits, and the worker ends.
                    self.note_damage(error);
                    tracing::warn!(jobs = probes.len(), %error, "enrolments wait for the store");
                })
                .await
                .unwrap_or_default();
            comparison.note(&found, threshold, records);
        }
    }

    /// Records the outcomes, announces them and settles the deliveries.
    ///
    /// While the store or the queue is away, full or denies access, the batch waits here unsettled.
    /// The consumer then stops at its prefetch, and no job loses an attempt. (A worker that exited
    /// instead would be restarted, take the same jobs and exit again, until their attempts are
    /// used up.)
    async fn end(&self, records: &[JobRecord], deliveries: Vec<Delivery>) {
        let started = Instant::now();
        let recorded = match self.record(records).await {
            Ok(recorded) => recorded,
            // The deliveries are dropped, so that the jobs come again.
            Err(error @ StoreError::Damaged(_)) => return self.note_damage(&error),
            Err(StoreError::Invalid(reason)) => {
                return self.end_rejected(&reason, records, deliveries).await;
            }
            Err(other) => {
                return self.end_rejected(&other.to_string(), records, deliveries).await;
            }
        };
        metrics::batch("record", records.len());
        metrics::batch_took("record", started.elapsed());
        self.forget_chips(records, &recorded).await;
        // Announce the stored outcome, not the redelivery's: the image may have disappeared since.
        let event = |(record, recorded): (&JobRecord, &Recorded)| OutcomeEvent {
            image_id: recorded.stored_image(),
            enrolment: recorded.enrolment.clone(),
            ..OutcomeEvent::new(record, recorded.image, recorded.end(record))
        };
        let events: Vec<OutcomeEvent> = records.iter().zip(&recorded).map(event).collect();
        metrics::ended(records, &events);
        let started = Instant::now();
        self.announce(&events).await;
        metrics::batch_took("announce", started.elapsed());
        // Concurrently, so that they share the wait for the broker's answers.
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

    /// Removes the chips of images that were erased: they were kept before the outcome was known. A
    /// job that is not settled ends as erased again, and removes them then.
    async fn forget_chips(&self, records: &[JobRecord], recorded: &[Recorded]) {
        let Some(chips) = &self.chips else { return };
        for (record, recorded) in records.iter().zip(recorded) {
            let Some(content) = record.content.filter(|_| recorded.is_erased()) else { continue };
            if let Err(error) = chips.forget(content.hash).await {
                tracing::error!(job = %record.job.id, %error, "the chips of an erased image cannot \
                    be removed from the chip cache: `facefleet erase --verify` finds them");
            }
        }
    }

    /// Ends the worker if the store is damaged.
    fn note_damage(&self, error: &StoreError) {
        if let StoreError::Damaged(how) = error {
            self.damage.send_replace(Some(how.clone()));
        }
    }

    /// Dead-letters a job whose record the store rejects. In a batch, the records are tried one by
    /// one, so that the others are recorded.
    async fn end_rejected(&self, reason: &str, records: &[JobRecord], deliveries: Vec<Delivery>) {
        let is_single = records.len() == 1;
        for (record, delivery) in records.iter().zip(deliveries) {
            if !is_single {
                Box::pin(self.end(std::slice::from_ref(record), vec![delivery])).await;
                continue;
            }
            tracing::error!(job = %delivery.job().id, reason, "the store rejects a job's outcome; \
                the job becomes a dead letter");
            let reason = format!("its outcome cannot be stored: {reason}");
            settle(delivery, Disposition::Bury(reason)).await;
        }
    }

    /// # Errors
    /// If the store rejects one of `records`, or is damaged. All other errors are waited out.
    async fn record(&self, records: &[JobRecord]) -> Result<Vec<Recorded>, StoreError> {
        let record = || self.store.record(records);
        self.until_accepted("store", record, is_final, |error| {
            tracing::warn!(jobs = records.len(), %error, "results wait for the store");
        })
        .await
    }

    async fn announce(&self, events: &[OutcomeEvent]) {
        let is_final = |error: &QueueError| matches!(error, QueueError::Closed);
        let announce = || self.queue.announce(events);
        // A closed queue has no subscribers.
        self.until_accepted("queue", announce, is_final, |error| {
            tracing::warn!(jobs = events.len(), %error, "events of outcomes wait for the queue");
        })
        .await
        .ok();
    }

    /// How to settle the delivery of a job that has to wait.
    async fn disposition(&self, delivery: &Delivery, reason: &WaitReason) -> Disposition {
        if let WaitReason::SourceOutage { source, reason } = reason {
            self.report_outage(source, reason).await;
        }
        let Job { id, attempt, image, .. } = delivery.job();
        let disposition = reason.disposition(delivery.job(), self.backoff);
        match &disposition {
            Disposition::Retry(_) => {
                tracing::warn!(job = %id, %image, attempt, %reason, "a job failed; it is retried");
                metrics::put_back("retry");
            }
            Disposition::SetAside(sub_queue) => {
                tracing::debug!(job = %id, %sub_queue, %reason, "a job is set aside");
                metrics::put_back("hold");
            }
            _ => metrics::put_back("defer"),
        }
        disposition
    }

    /// Writes an outage to the store before a job is set aside for it. Other workers then consume
    /// the sub-queue, even if this one dies.
    async fn report_outage(&self, source: &SourceName, reason: &str) {
        if !self.reported.lock().await.insert(source.clone()) {
            return;
        }
        let report = || self.store.set_source_status(source, Some(reason));
        let reported = self
            .until_accepted("store", report, is_final, |error| {
                tracing::warn!(%source, %error, "the outage of a source waits to be stored");
            })
            .await;
        if let Err(error) = reported {
            tracing::error!(%source, %error, "the outage of a source cannot be stored; other \
                workers do not see it");
        }
    }

    /// Calls `attempt` until it succeeds or fails with a final error, with growing pauses between.
    /// Meanwhile the wait shows in health and metrics, and `log` is called at intervals.
    ///
    /// # Errors
    /// The final error.
    async fn until_accepted<T, E: Display, A: Future<Output = Result<T, E>>>(
        &self,
        backend: &'static str,
        attempt: impl Fn() -> A,
        is_final: impl Fn(&E) -> bool,
        log: impl Fn(&E),
    ) -> Result<T, E> {
        let (mut pause, mut wait) = (self.backoff.first, self.vitals.waits.begin(backend));
        loop {
            match attempt().await {
                Ok(accepted) => {
                    wait.done();
                    return Ok(accepted);
                }
                Err(error) if is_final(&error) => return Err(error),
                Err(error) => {
                    metrics::backend_wait(backend);
                    if wait.because(error.to_string()) {
                        log(&error);
                    }
                }
            }
            tokio::time::sleep(pause).await;
            pause = pause.saturating_mul(2).min(self.backoff.most).min(LONGEST_PAUSE);
        }
    }
}

/// Whether waiting does not help.
fn is_final(error: &StoreError) -> bool {
    matches!(error, StoreError::Invalid(_) | StoreError::Damaged(_))
}

/// If the settlement is lost, the job is redelivered and finds its row.
async fn settle(delivery: Delivery, disposition: Disposition) {
    let job = delivery.job().id;
    match delivery.settle(disposition).await {
        Ok(true) => {}
        Ok(false) => {
            metrics::ack_lost();
            tracing::info!(%job, "the queue had taken a delivery back; the job is redelivered");
        }
        Err(error) => {
            metrics::ack_lost();
            tracing::warn!(%job, %error, "failed to settle a delivery; the job is redelivered");
        }
    }
}
