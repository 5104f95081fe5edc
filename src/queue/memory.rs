//! The queue inside one process, for embedded use and for tests: bounded, and gone with the
//! process. What it held is found again by the next scan, because the store knows what is settled.
//!
//! **Lanes.** Each consumer takes from its lanes by weight: while all have jobs, of 21 deliveries
//! 16 are enrolments, 4 scans and 1 a re-score, in that order. So an enrolment waits for at most 5
//! others, and no lane starves.
//!
//! **Room.** Publishers wait while as many jobs that they brought wait to be taken as the queue has
//! capacity. Retries, what is put aside, abandoned deliveries and revived dead letters come back
//! without waiting: who settles must never wait for who publishes.
//!
//! **Time.** Nothing ticks. Delayed jobs become ready when somebody looks, and a consumer with
//! nothing to do sleeps until the first of them is due, on tokio's clock, which tests can pause.

mod consumer;
mod events;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::Notify;

use self::consumer::MemoryConsumer;
use self::state::State;
use super::{Consumer, DeadLetter, DeadLetterFilter, JobQueue, QueueError, QueueStatus};
use crate::domain::{Job, Lane, OutcomeEvent, SubQueue};

/// The queue inside one process.
pub struct MemoryQueue {
    shared: Arc<Shared>,
}

/// What the queue, its consumers and their deliveries share.
struct Shared {
    capacity: usize,
    state: Mutex<State>,
    /// One publisher is told when a place became free, or the queue was closed; one that leaves
    /// places free tells the next.
    room: Notify,
    /// All consumers are told when jobs came, a delivery ended or the queue was closed: they differ
    /// in lanes and prefetch, and are few.
    change: Notify,
}

impl Shared {
    /// The state. Nothing panics half-way through a change of it, so a poisoned lock is as good as
    /// any.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryQueue {
    /// An empty queue that lets publishers wait once `capacity` jobs (at least one) are ready.
    pub fn new(capacity: usize) -> Self {
        let shared = Shared {
            capacity: capacity.max(1),
            state: Mutex::default(),
            room: Notify::new(),
            change: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Lets `jobs` in, one by one, while there is room; waits for it.
    async fn enter(
        &self,
        jobs: Vec<Job>,
        push: impl Fn(&mut State, Job) + Send,
    ) -> Result<(), QueueError> {
        let mut jobs = jobs.into_iter().peekable();
        loop {
            let (done, full) = {
                let mut state = self.shared.state();
                if state.closed {
                    self.shared.room.notify_one();
                    return Err(QueueError::Closed);
                }
                state.promote_due();
                while state.published() < self.shared.capacity
                    && let Some(job) = jobs.next()
                {
                    push(&mut state, job);
                }
                (jobs.peek().is_none(), state.published() >= self.shared.capacity)
            };
            self.shared.change.notify_waiters();
            if done {
                if !full {
                    self.shared.room.notify_one();
                }
                return Ok(());
            }
            // If a place became free since the lock was released, a permit was left, and this
            // returns at once.
            self.shared.room.notified().await;
        }
    }
}

#[async_trait]
impl JobQueue for MemoryQueue {
    async fn publish(&self, jobs: Vec<Job>) -> Result<(), QueueError> {
        self.enter(jobs, State::push).await
    }

    async fn publish_to(&self, place: &SubQueue, jobs: Vec<Job>) -> Result<(), QueueError> {
        self.enter(jobs, |state, job| state.push_at(place, job)).await
    }

    async fn waiting(&self, places: &[SubQueue]) -> Result<Vec<u64>, QueueError> {
        let state = self.shared.state();
        Ok(places.iter().map(|place| state.waiting(place)).collect())
    }

    async fn remove(&self, place: &SubQueue) -> Result<(), QueueError> {
        self.shared.state().remove(place);
        self.shared.room.notify_one();
        Ok(())
    }

    async fn consume(
        &self,
        lanes: &[Lane],
        prefetch: usize,
    ) -> Result<Box<dyn Consumer>, QueueError> {
        if self.shared.state().closed {
            return Err(QueueError::Closed);
        }
        Ok(Box::new(MemoryConsumer::new(Arc::clone(&self.shared), lanes, prefetch.max(1))))
    }

    async fn announce(&self, events: &[OutcomeEvent]) -> Result<(), QueueError> {
        events::announce(&self.shared, events).await
    }

    async fn events(&self) -> Result<BoxStream<'static, OutcomeEvent>, QueueError> {
        events::subscribe(&self.shared)
    }

    fn is_shared(&self) -> bool {
        false
    }

    fn trouble(&self) -> Option<String> {
        None
    }

    async fn try_publishing(&self) -> Result<(), QueueError> {
        Ok(())
    }

    async fn try_consuming(&self) -> Result<(), QueueError> {
        Ok(())
    }

    async fn status(&self) -> Result<QueueStatus, QueueError> {
        let mut state = self.shared.state();
        state.promote_due();
        Ok(state.status())
    }

    async fn dead_letters(&self, limit: usize) -> Result<Vec<DeadLetter>, QueueError> {
        Ok(self.shared.state().dead.iter().take(limit).cloned().collect())
    }

    async fn resolve_dead(
        &self,
        selection: &DeadLetterFilter,
        retry: bool,
    ) -> Result<u64, QueueError> {
        let resolved = {
            let mut state = self.shared.state();
            if retry && state.closed {
                return Err(QueueError::Closed);
            }
            state.resolve_dead(selection, retry)
        };
        self.shared.change.notify_waiters();
        Ok(resolved)
    }

    async fn close(&self) {
        self.shared.state().close();
        self.shared.change.notify_waiters();
        // The publisher that hears it tells the next.
        self.shared.room.notify_one();
    }
}
