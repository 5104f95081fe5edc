//! The prefetched jobs of a consumer: sent ahead by the broker, not yet handed to the worker. Also
//! counts the deliveries that the worker has not settled.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use lapin::Acker;
use tokio::sync::Notify;

use super::message::ReceivedJob;
use crate::domain::Lane;
use crate::queue::lanes::LaneScheduler;

/// A job that the broker sent, and the means to acknowledge it.
pub(super) struct Prefetched {
    pub(super) received: ReceivedJob,
    pub(super) acker: Acker,
}

/// Which jobs are handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// Those of the lanes, by weight.
    Lanes,
    /// Only the isolated job, once every delivery is settled.
    Isolation,
    /// No more jobs.
    Closed,
}

/// The prefetched jobs of a consumer. Shared by the consumer, its receive loop and its deliveries.
pub(super) struct Buffer {
    prefetch: u16,
    state: Mutex<BufferState>,
    /// Notifies of every change of the state.
    change: Notify,
}

struct BufferState {
    mode: Mode,
    scheduler: LaneScheduler,
    lanes: BTreeMap<Lane, VecDeque<Prefetched>>,
    /// The suspected poison job to hand out in [`Mode::Isolation`].
    isolated: Option<Prefetched>,
}

impl BufferState {
    fn take(&mut self) -> Option<Prefetched> {
        match self.mode {
            Mode::Lanes => self.scheduler.take(|lane| self.lanes.get_mut(&lane)?.pop_front()),
            Mode::Isolation if self.scheduler.is_idle() => {
                let job = self.isolated.take()?;
                self.scheduler.delivered(job.received.job.lane);
                Some(job)
            }
            Mode::Isolation | Mode::Closed => None,
        }
    }

    fn is_idle(&self) -> bool {
        self.scheduler.is_idle() && self.isolated.is_none()
    }
}

impl Buffer {
    /// An empty buffer of `lanes`.
    pub(super) fn new(lanes: &[Lane], prefetch: u16) -> Self {
        let state = BufferState {
            mode: Mode::Lanes,
            scheduler: LaneScheduler::new(lanes, usize::from(prefetch)),
            lanes: BTreeMap::new(),
            isolated: None,
        };
        Self { prefetch, state: Mutex::new(state), change: Notify::new() }
    }

    /// The number of jobs that the broker may send ahead per lane.
    pub(super) fn prefetch(&self) -> u16 {
        self.prefetch
    }

    /// The next job for the worker. Waits while there is no job or the prefetch is used up. `None`
    /// once the buffer is closed.
    pub(super) async fn next(&self) -> Option<Prefetched> {
        loop {
            // Created before the state is read, so that no change after that is missed.
            let change = self.change.notified();
            {
                let mut state = self.state();
                if state.mode == Mode::Closed {
                    return None;
                }
                if let Some(job) = state.take() {
                    return Some(job);
                }
            }
            change.await;
        }
    }

    /// Adds a job to its lane.
    pub(super) fn push(&self, job: Prefetched) {
        self.update(|state| {
            state.lanes.entry(job.received.job.lane).or_default().push_back(job);
        });
    }

    /// Sets the job to hand out in isolation.
    pub(super) fn push_isolated(&self, job: Prefetched) {
        self.update(|state| state.isolated = Some(job));
    }

    /// A delivery of `lane` is settled.
    pub(super) fn settled(&self, lane: Lane) {
        self.update(|state| state.scheduler.settled(lane));
    }

    /// Sets which jobs are handed out.
    pub(super) fn set_mode(&self, mode: Mode) {
        self.update(|state| state.mode = mode);
    }

    /// Removes the isolated job and the jobs of all lanes.
    pub(super) fn drain(&self) -> (Option<Prefetched>, Vec<Prefetched>) {
        self.update(|state| {
            let jobs = state.lanes.values_mut().flat_map(|jobs| jobs.drain(..)).collect();
            (state.isolated.take(), jobs)
        })
    }

    /// Whether the worker could be handed a job of `lane`, but the buffer has none.
    pub(super) fn lacks(&self, lane: Lane) -> bool {
        let mut state = self.state();
        state.lanes.get(&lane).is_none_or(VecDeque::is_empty) && state.scheduler.has_free_slot(lane)
    }

    /// Whether no delivery is unsettled and no isolated job waits.
    pub(super) fn is_idle(&self) -> bool {
        self.state().is_idle()
    }

    /// Waits until no delivery is unsettled and no isolated job waits.
    pub(super) async fn until_idle(&self) {
        loop {
            // Created before the state is read, so that no change after that is missed.
            let change = self.change.notified();
            if self.is_idle() {
                return;
            }
            change.await;
        }
    }

    /// The state. A poisoned lock is usable: no change of the state can panic half-way.
    fn state(&self) -> MutexGuard<'_, BufferState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn update<T>(&self, update: impl FnOnce(&mut BufferState) -> T) -> T {
        let value = update(&mut self.state());
        self.change.notify_waiters();
        value
    }
}
