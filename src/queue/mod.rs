//! The job queue: publishing, lanes and sub-queues, deliveries and their settlement, dead letters,
//! and events about outcomes.
//!
//! Delivery is at least once: a job is delivered again until a delivery of it is settled. A
//! [`Delivery`] that is dropped, by a panic or a lost worker, is retried. For what jobs wait, and
//! where, is defined in `domain::waiting`. This module depends on `domain` only, and no type of a
//! broker appears in a signature.

mod body_head;
mod dead_letter;
pub mod event;
mod lanes;
pub mod memory;
pub mod rabbitmq;
#[cfg(test)]
pub(crate) mod schemas;
mod truncation;
pub mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

pub use self::body_head::BodyHead;
pub use self::dead_letter::{DeadLetter, DeadLetterFilter, count_by_reason};
use crate::domain::{Disposition, Job, Lane, OutcomeEvent, SubQueue};

/// Why a queue operation failed.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Transient: the connection is lost or the broker is busy. Try again.
    #[error("the queue cannot be reached: {0}")]
    Unavailable(String),
    /// Permanent: its settings, its user's permissions or its queues must be corrected. The message
    /// says which and how; it holds no password.
    #[error("the queue cannot be used: {0}")]
    Unusable(String),
    /// This process closed the queue.
    #[error("the queue is closed")]
    Closed,
}

/// A queue of jobs.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Publishes `jobs` to their lanes, in order within a lane. Returns once the queue has
    /// confirmed all of them. Waits while the queue is full.
    ///
    /// # Errors
    /// If not every job is confirmed. No, some or all jobs are then in the queue; publishing all of
    /// them again is harmless.
    async fn publish(&self, jobs: Vec<Job>) -> Result<(), QueueError>;

    /// Publishes `jobs` like [`Self::publish`], but to `sub_queue`.
    ///
    /// # Errors
    /// As [`Self::publish`].
    async fn publish_to(&self, sub_queue: &SubQueue, jobs: Vec<Job>) -> Result<(), QueueError>;

    /// The number of jobs that wait in each of `sub_queues`; 0 for one that does not exist.
    ///
    /// # Errors
    /// If the queue cannot be reached.
    async fn waiting(&self, sub_queues: &[SubQueue]) -> Result<Vec<u64>, QueueError>;

    /// Deletes `sub_queue` with all jobs that wait in it. Deliveries from it can still be settled.
    ///
    /// # Errors
    /// If the queue cannot be reached.
    async fn remove(&self, sub_queue: &SubQueue) -> Result<(), QueueError>;

    /// Deletes `sub_queue` if no job waits in it. Whether it does not exist now.
    ///
    /// # Errors
    /// If the queue cannot be reached, or is too busy to say what waits in it.
    async fn remove_empty(&self, sub_queue: &SubQueue) -> Result<bool, QueueError>;

    /// Starts a consumer of `lanes` that has at most `prefetch` unsettled deliveries (at least
    /// one), and in addition as many unsettled enrolments: an enrolment never waits for a slot that
    /// a scan's job occupies.
    ///
    /// # Errors
    /// If the queue cannot be reached or is closed.
    async fn consume(
        &self,
        lanes: &[Lane],
        prefetch: usize,
    ) -> Result<Box<dyn Consumer>, QueueError>;

    /// Publishes events about ended jobs. Returns once the queue has confirmed them. Works until
    /// the last delivery of a closed queue is settled: announce before you settle.
    ///
    /// # Errors
    /// If not every event is confirmed. Some may have been published; announcing all of them again
    /// is harmless.
    async fn announce(&self, events: &[OutcomeEvent]) -> Result<(), QueueError>;

    /// Subscribes to the events that are announced from now on. The image URI of an event may lack
    /// its secrets.
    ///
    /// In memory, a slow subscriber applies backpressure. On `RabbitMQ`, up to 1,000,000 events are
    /// buffered and the oldest are dropped, and events can be missed while a connection is lost:
    /// the store is authoritative. Drop the stream to unsubscribe. The stream ends when the queue
    /// is closed, no delivery is unsettled, and every event of this process was read.
    ///
    /// # Errors
    /// If the queue cannot be reached, or is closed and no delivery is unsettled.
    async fn events(&self) -> Result<BoxStream<'static, OutcomeEvent>, QueueError>;

    /// Whether other processes use the same queue.
    fn is_shared(&self) -> bool;

    /// Why this process receives no jobs, or why the queue does not confirm what it publishes.
    /// `None` while both work.
    fn trouble(&self) -> Option<String>;

    /// Checks that this process may publish jobs, events and dead letters. Publishes nothing.
    ///
    /// # Errors
    /// If the queue cannot be reached or a permission is missing; the message names it.
    async fn try_publishing(&self) -> Result<(), QueueError>;

    /// Checks that this process may consume every lane. Consumes nothing.
    ///
    /// # Errors
    /// If the queue cannot be reached or a permission is missing; the message names it.
    async fn try_consuming(&self) -> Result<(), QueueError>;

    /// Counts the jobs by where they are.
    ///
    /// # Errors
    /// If the queue cannot be reached.
    async fn status(&self) -> Result<QueueStatus, QueueError>;

    /// Lists at most `limit` dead letters, sorted by age, the oldest first.
    ///
    /// # Errors
    /// If the queue cannot be reached.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError>;

    /// Removes the dead letters that match `filter` and returns how many were removed.
    ///
    /// With `retry`, publishes the job of each letter again first: with the same id and campaign,
    /// its earlier reasons, and the attempt reset to 1. A letter whose message is not a readable
    /// job cannot be retried and is kept.
    ///
    /// # Errors
    /// If the queue cannot be reached, or is closed and `retry` is set. Letters that were not
    /// processed yet are kept: call again to continue. A job may then be retried twice; no letter
    /// is lost.
    async fn resolve_dead(&self, filter: &DeadLetterFilter, retry: bool)
    -> Result<u64, QueueError>;

    /// Closes the queue for this process: pending publishes fail and consumers end. Deliveries that
    /// were handed out can still be settled.
    async fn close(&self);
}

/// A consumer of a queue.
#[async_trait]
pub trait Consumer: Send {
    /// The next delivery. Waits while there is no job or the prefetch is used up. `None` once the
    /// queue is closed. Cancel-safe: a dropped future loses no job.
    async fn next(&mut self) -> Option<Delivery>;

    /// Consumes from `sub_queues`, in addition to the lanes, and from no other sub-queues. A
    /// sub-queue that does not exist is consumed as soon as it does. Jobs that were already
    /// prefetched from other sub-queues are still delivered.
    fn take_from(&mut self, sub_queues: BTreeSet<SubQueue>);
}

/// How a backend settles one of its deliveries.
pub trait Settle: Send + Sync {
    /// Settles the delivery of `job`. `Ok(false)`: the queue had already requeued it and will
    /// deliver it again.
    ///
    /// If the future is dropped before it completes, the delivery must be settled or abandoned all
    /// the same: no other code does it.
    fn settle(
        &self,
        job: Job,
        disposition: Disposition,
    ) -> BoxFuture<'static, Result<bool, QueueError>>;

    /// Requeues `job`, whose delivery was dropped without a disposition, as its next attempt. Must
    /// not block.
    fn abandon(&self, job: Job);
}

/// A job that was delivered to a worker. Dropping it unsettled requeues the job.
pub struct Delivery {
    job: Job,
    /// `None` once it is settled.
    settle: Option<Arc<dyn Settle>>,
}

impl Delivery {
    /// A delivery of `job` that is settled by `settle`.
    pub fn new(job: Job, settle: Arc<dyn Settle>) -> Self {
        Self { job, settle: Some(settle) }
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Settles the delivery. `Ok(false)`: the queue had already requeued the job and will deliver
    /// it again.
    ///
    /// # Errors
    /// If the queue cannot be reached; it then delivers the job again.
    pub async fn settle(mut self, disposition: Disposition) -> Result<bool, QueueError> {
        match self.settle.take() {
            Some(settle) => settle.settle(self.job.clone(), disposition).await,
            None => Ok(false),
        }
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        if let Some(settle) = self.settle.take() {
            settle.abandon(self.job.clone());
        }
    }
}

/// Numbers of jobs by where they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueStatus {
    /// Ready for delivery, by lane. Includes the sub-queues from which this process consumes.
    pub ready: Vec<(Lane, u64)>,
    /// Waiting in other sub-queues. On a broker, only in those that this process has used.
    pub waiting: u64,
    /// Waiting for the time of their next attempt.
    pub delayed: u64,
    /// Delivered and not settled; `None` if the queue cannot count them.
    pub unsettled: Option<u64>,
    /// Dead letters.
    pub dead: u64,
}

/// `job` as its next attempt.
fn next_attempt(job: Job) -> Job {
    Job { attempt: job.attempt.saturating_add(1), ..job }
}
