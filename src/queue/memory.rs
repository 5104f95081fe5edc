//! The queue inside one process, for embedded use and for tests: bounded, and lost with the
//! process. The next scan lists the lost jobs' images again, because the store has no result for
//! them.
//!
//! **Capacity.** Publishers wait while the queue holds as many jobs of theirs as its capacity.
//! Retries, jobs that are set aside, dropped deliveries and retried dead letters are always
//! accepted: settling must never wait for publishing.
//!
//! **Time.** There is no timer task. Each access moves the delayed jobs that are due, and an idle
//! consumer sleeps until the next of them is due, on tokio's clock, which tests can pause.

mod consumer;
mod events;
mod state;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::stream::BoxStream;
use tokio::sync::Notify;

use self::consumer::MemoryConsumer;
use self::state::MemoryState;
use super::{Consumer, DeadLetter, DeadLetterFilter, JobQueue, QueueError, QueueStatus};
use crate::domain::{Job, Lane, OutcomeEvent, SubQueue};

/// A queue inside one process.
pub struct MemoryQueue {
    shared: Arc<Shared>,
}

/// What the queue, its consumers and their deliveries share.
struct Shared {
    capacity: usize,
    state: Mutex<MemoryState>,
    /// Wakes one publisher when there is capacity or the queue was closed; a publisher that leaves
    /// capacity free wakes the next.
    capacity_freed: Notify,
    /// Wakes all consumers when jobs arrived, a delivery was settled or the queue was closed. They
    /// are few, and differ in lanes and prefetch.
    change: Notify,
}

impl Shared {
    /// The state. A poisoned lock is usable: no change of the state can panic half-way.
    fn state(&self) -> MutexGuard<'_, MemoryState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl MemoryQueue {
    /// An empty queue in which publishers wait once `capacity` jobs (at least one) are ready.
    pub fn new(capacity: usize) -> Self {
        let shared = Shared {
            capacity: capacity.max(1),
            state: Mutex::default(),
            capacity_freed: Notify::new(),
            change: Notify::new(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// Adds `jobs` by `push`, and waits for capacity in between.
    async fn add(
        &self,
        jobs: Vec<Job>,
        push: impl Fn(&mut MemoryState, Job) + Send,
    ) -> Result<(), QueueError> {
        let mut jobs = jobs.into_iter().peekable();
        loop {
            let (done, full) = {
                let mut state = self.shared.state();
                if state.closed {
                    self.shared.capacity_freed.notify_one();
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
                    self.shared.capacity_freed.notify_one();
                }
                return Ok(());
            }
            // `notify_one` stores a permit: capacity that was freed since the lock was released
            // lets this return at once.
            self.shared.capacity_freed.notified().await;
        }
    }
}

#[async_trait]
impl JobQueue for MemoryQueue {
    async fn publish(&self, jobs: Vec<Job>) -> Result<(), QueueError> {
        self.add(jobs, MemoryState::push).await
    }

    async fn publish_to(&self, sub_queue: &SubQueue, jobs: Vec<Job>) -> Result<(), QueueError> {
        self.add(jobs, |state, job| state.push_to(sub_queue, job)).await
    }

    async fn waiting(&self, sub_queues: &[SubQueue]) -> Result<Vec<u64>, QueueError> {
        let state = self.shared.state();
        Ok(sub_queues.iter().map(|sub_queue| state.waiting(sub_queue)).collect())
    }

    async fn remove(&self, sub_queue: &SubQueue) -> Result<(), QueueError> {
        self.shared.state().remove(sub_queue);
        self.shared.capacity_freed.notify_one();
        Ok(())
    }

    async fn remove_empty(&self, sub_queue: &SubQueue) -> Result<bool, QueueError> {
        let mut state = self.shared.state();
        let empty = state.waiting(sub_queue) == 0;
        if empty {
            state.remove(sub_queue);
        }
        Ok(empty)
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
        filter: &DeadLetterFilter,
        retry: bool,
    ) -> Result<u64, QueueError> {
        let resolved = {
            let mut state = self.shared.state();
            if retry && state.closed {
                return Err(QueueError::Closed);
            }
            state.resolve_dead(filter, retry)
        };
        self.shared.change.notify_waiters();
        Ok(resolved)
    }

    async fn close(&self) {
        self.shared.state().close();
        self.shared.change.notify_waiters();
        // Each publisher that wakes up wakes the next.
        self.shared.capacity_freed.notify_one();
    }
}
