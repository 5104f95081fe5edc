//! Where jobs wait: publishing, lanes, deliveries and their settlement, dead letters, and the news
//! of outcomes.
//!
//! The promise is at-least-once delivery: a delivered job comes again until it is settled. A
//! [`Delivery`] that is dropped, by a panic or a lost worker, is a retry. Knows the domain only; no
//! type of a broker appears in a signature.

mod cut;
pub mod event;
pub mod memory;
pub mod rabbitmq;
pub mod wire;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::future::BoxFuture;
use futures::stream::BoxStream;

use crate::domain::{Disposition, Job, JobId, Lane, OutcomeEvent, SubQueue};

/// What can go wrong with a queue.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Passing: the connection is gone or the broker busy. Try again.
    #[error("the queue cannot be reached: {0}")]
    Unavailable(String),
    /// Not passing: its settings, its user's rights or its queues must be put right. Says which,
    /// and what to do; holds no password.
    #[error("the queue cannot be used: {0}")]
    Unusable(String),
    /// The queue was closed on purpose; nothing more will come.
    #[error("the queue is closed")]
    Closed,
}

/// A queue of jobs.
#[async_trait]
pub trait JobQueue: Send + Sync {
    /// Hands over `jobs`, in order within a lane; returns when all of them are safe. Waits while
    /// the queue is full.
    ///
    /// # Errors
    /// If not all could be made safe; then none, some or all of them are in the queue, and handing
    /// them over again is harmless.
    async fn publish(&self, jobs: Vec<Job>) -> Result<(), QueueError>;

    /// As [`Self::publish`], to wait at `place` for whoever takes from it.
    ///
    /// # Errors
    /// As [`Self::publish`].
    async fn publish_to(&self, place: &SubQueue, jobs: Vec<Job>) -> Result<(), QueueError>;

    /// How many jobs wait at each of `places`.
    ///
    /// # Errors
    /// If the queue cannot be reached.
    async fn waiting(&self, places: &[SubQueue]) -> Result<Vec<u64>, QueueError>;

    /// Drops all jobs that wait at `place`, and the place. What is delivered can still be settled.
    ///
    /// # Errors
    /// If the queue cannot be reached.
    async fn remove(&self, place: &SubQueue) -> Result<(), QueueError>;

    /// Starts a consumer of `lanes` that holds at most `prefetch` unsettled deliveries (at least
    /// one), and as many enrolments beside them: an enrolment, which somebody waits for, never
    /// waits for a place that a scan's jobs have.
    ///
    /// # Errors
    /// If the queue cannot be reached or is closed.
    async fn consume(
        &self,
        lanes: &[Lane],
        prefetch: usize,
    ) -> Result<Box<dyn Consumer>, QueueError>;

    /// Tells the world how jobs ended; returns when the news is safe. Works until the last delivery
    /// of a closed queue is settled, so announce before settling.
    ///
    /// # Errors
    /// If the news could not be handed over; then some of it may have been, and announcing again is
    /// harmless.
    async fn announce(&self, events: &[OutcomeEvent]) -> Result<(), QueueError>;

    /// The news from now on; an event's image may come without the secrets of its URI. A slow
    /// reader slows the announcers of its process or has its news kept by the broker, of which the
    /// oldest then go first; a dropped stream is forgotten. Across a broken connection news can be
    /// missed: the store is what counts. The stream ends once the queue is closed, no delivery is
    /// out, and what this process announced has been read.
    ///
    /// # Errors
    /// If the queue cannot be reached, or is closed with no delivery out.
    async fn events(&self) -> Result<BoxStream<'static, OutcomeEvent>, QueueError>;

    /// Whether other processes share it.
    fn is_shared(&self) -> bool;

    /// Why jobs do not come to the consumers of this process, or why what it hands over is not
    /// taken; none while all is well.
    fn trouble(&self) -> Option<String>;

    /// Tries whether this process may hand over jobs, outcomes and dead letters. Nothing is handed
    /// over.
    ///
    /// # Errors
    /// If the queue cannot be reached, or a right is missing: it says which.
    async fn try_publishing(&self) -> Result<(), QueueError>;

    /// Tries whether this process may take jobs of every lane. None is taken.
    ///
    /// # Errors
    /// If the queue cannot be reached, or a right is missing: it says which.
    async fn try_consuming(&self) -> Result<(), QueueError>;

    /// How many jobs are where.
    ///
    /// # Errors
    /// If the queue cannot be reached.
    async fn status(&self) -> Result<QueueStatus, QueueError>;

    /// Dead letters, at most `limit`, the oldest of them first.
    ///
    /// # Errors
    /// If the queue cannot be reached.
    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError>;

    /// Removes the dead letters of `selection` and, with `retry`, publishes the job of each again:
    /// under the same id, in the same campaign, with its reasons, and all its attempts before it. A
    /// letter whose message could not be read cannot be retried: it stays then. Returns how many
    /// are gone.
    ///
    /// # Errors
    /// If the queue cannot be reached, or is closed and jobs should be retried; what is not
    /// resolved stays, and the same call goes on from there. A letter may then be retried twice,
    /// and none is lost.
    async fn resolve_dead(
        &self,
        selection: &DeadLetterFilter,
        retry: bool,
    ) -> Result<u64, QueueError>;

    /// Lets no more jobs in or out: pending publishes fail, consumers end. Deliveries already
    /// handed out can still be settled.
    async fn close(&self);
}

/// One consumer of a queue.
#[async_trait]
pub trait Consumer: Send {
    /// The next delivery; waits while there is none or the prefetch is used up. `None` once the
    /// queue is closed.
    async fn next(&mut self) -> Option<Delivery>;

    /// Takes from these places too, from now on and from no others; a place that is not there yet
    /// as soon as it is. What was sent ahead from others still comes.
    fn take_from(&mut self, places: BTreeSet<SubQueue>);
}

/// The queue's end of a delivery.
pub trait Settle: Send + Sync {
    /// Settles the delivery of `job`. `Ok(false)`: the queue had already taken it back and will
    /// deliver it again.
    ///
    /// A future that is dropped half-way must leave the delivery settled or abandoned, never
    /// neither: nobody else will end it.
    fn settle(
        &self,
        job: Job,
        disposition: Disposition,
    ) -> BoxFuture<'static, Result<bool, QueueError>>;

    /// The delivery was dropped without a disposition. Must not block.
    fn abandon(&self, job: Job);
}

/// A job in the hands of a worker. Dropping it unsettled is a retry.
pub struct Delivery {
    job: Job,
    /// Taken when the delivery is settled.
    settle: Option<Arc<dyn Settle>>,
}

impl Delivery {
    /// A delivery of `job` that reports to `settle`.
    pub fn new(job: Job, settle: Arc<dyn Settle>) -> Self {
        Self { job, settle: Some(settle) }
    }

    /// The job.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Ends the delivery. `Ok(false)`: the queue had taken it back already; it is delivered again.
    ///
    /// # Errors
    /// If the queue cannot be reached; the job is then delivered again.
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

/// A job that was buried.
#[derive(Debug, Clone, PartialEq)]
pub struct DeadLetter {
    /// The job as it was last delivered; none where the message could not be read as one.
    pub job: Option<Job>,
    /// Why it was buried.
    pub reason: String,
    /// When, RFC 3339, UTC; none if the queue does not know.
    pub died_at: Option<String>,
    /// How often it was delivered.
    pub deliveries: u32,
    /// Why it was buried before, if it is a retry; the oldest reason first.
    pub history: Vec<String>,
}

/// Which dead letters.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct DeadLetterFilter {
    /// Those of this job; none: of any.
    pub job: Option<JobId>,
    /// Those whose reason contains this; none: of any reason.
    pub reason: Option<String>,
}

impl DeadLetterFilter {
    /// Whether `letter` is one of them.
    pub fn matches(&self, letter: &DeadLetter) -> bool {
        self.job.is_none_or(|job| letter.job.as_ref().is_some_and(|buried| buried.id == job))
            && self.reason.as_ref().is_none_or(|part| letter.reason.contains(part.as_str()))
    }
}

/// Counts `letters` by reason, the most frequent first.
pub fn count_by_reason(letters: &[DeadLetter]) -> Vec<(String, u64)> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    letters.iter().for_each(|letter| *counts.entry(&letter.reason).or_default() += 1);
    let mut counts: Vec<(String, u64)> =
        counts.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    counts
}

/// The buried `job` for another try: the same job, with all its attempts. It keeps its id, so that
/// its campaign counts it once.
fn revived(job: &Job) -> Job {
    Job { attempt: 1, ..job.clone() }
}

/// Numbers of jobs by where they are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct QueueStatus {
    /// Ready to be taken, by lane, those at places from which this process takes included.
    pub ready: Vec<(Lane, u64)>,
    /// Waiting at places from which this process takes nothing; with a broker, of those it has met.
    pub waiting: u64,
    /// Waiting for the time of their next attempt.
    pub delayed: u64,
    /// In the hands of workers; none where the queue cannot tell.
    pub unsettled: Option<u64>,
    /// Buried.
    pub dead: u64,
}

/// How many deliveries of a lane go before those of the next, while both have jobs.
fn weight(lane: Lane) -> u32 {
    match lane {
        Lane::Enrol => 16,
        Lane::Scan => 4,
        Lane::Rescore => 1,
    }
}

/// The unsettled deliveries of a consumer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Held {
    enrolments: usize,
    others: usize,
}

impl Held {
    /// Those that share their places with deliveries of `lane`.
    fn beside(&mut self, lane: Lane) -> &mut usize {
        if lane == Lane::Enrol { &mut self.enrolments } else { &mut self.others }
    }
}

/// The wait before the attempt after `attempt`: doubled each time from `base`, at most `most`, less
/// a share (up to half) that differs from job to job, so that jobs that failed together do not come
/// back together.
pub fn backoff(attempt: u32, job: JobId, base: Duration, most: Duration) -> Duration {
    let doubled =
        base.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1).min(20))).min(most);
    let jitter = f64::from(u16::from_le_bytes([job.0.as_bytes()[14], job.0.as_bytes()[15]]))
        / f64::from(u16::MAX);
    doubled.mul_f64(1.0 - 0.5 * jitter)
}
