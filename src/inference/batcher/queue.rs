//! The two bounded queues of a batcher, one per priority, and how a thread forms its batches.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select, unbounded};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::{BatchError, BatchModel, Priority};

/// After the last urgent item, threads stay ready for the next one for this long.
const URGENT_LINGER_MS: u64 = 250;

/// Urgent batches in a row while bulk items wait: 4 to 1, as the lanes' weights of 16 to 4.
const MAX_URGENT_IN_A_ROW: u32 = 4;

/// How often a spare thread checks whether it may take bulk items again.
const SPARE_POLL: Duration = Duration::from_millis(2);

/// An item, and where its result goes.
pub(super) struct Request<M: BatchModel> {
    pub item: M::Input,
    pub reply: oneshot::Sender<Result<M::Output, BatchError>>,
    /// The item's slot in the queue. A thread releases it when it receives the item.
    pub slot: OwnedSemaphorePermit,
}

/// Producer side of a bounded queue. Each priority has its own queue, so urgent items never wait
/// for a slot behind bulk items.
pub(super) struct BoundedSender<M: BatchModel> {
    pub requests: Sender<Request<M>>,
    pub slots: Arc<Semaphore>,
}

impl<M: BatchModel> Clone for BoundedSender<M> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone(), slots: self.slots.clone() }
    }
}

/// A queue of at most `slots` requests. The channel is unbounded: the semaphore is the bound, so
/// that a sender can wait for a slot without blocking its thread.
pub(super) fn bounded<M: BatchModel>(slots: usize) -> (BoundedSender<M>, Receiver<Request<M>>) {
    let (requests, receiver) = unbounded();
    (BoundedSender { requests, slots: Arc::new(Semaphore::new(slots)) }, receiver)
}

/// Whether urgent items are announced.
pub(super) struct Urgency {
    announced: AtomicUsize,
    /// When the last announcement ended, milliseconds after `start`; 0 if none has.
    last_ms: AtomicU64,
    start: Instant,
}

impl Default for Urgency {
    fn default() -> Self {
        Self { announced: AtomicUsize::new(0), last_ms: AtomicU64::new(0), start: Instant::now() }
    }
}

impl Urgency {
    /// Counts one more announced item, until the guard is dropped.
    pub(super) fn announce(self: &Arc<Self>) -> UrgentGuard {
        self.announced.fetch_add(1, Ordering::Relaxed);
        UrgentGuard(self.clone())
    }

    fn now_ms(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// True while an urgent item is announced, and for [`URGENT_LINGER_MS`] after: urgent items
    /// rarely come alone.
    fn is_on(&self) -> bool {
        let last = self.last_ms.load(Ordering::Relaxed);
        self.announced.load(Ordering::Relaxed) > 0
            || (last > 0 && self.now_ms().saturating_sub(last) < URGENT_LINGER_MS)
    }
}

/// The announcement of an urgent item. Dropping the guard ends it.
#[must_use]
pub struct UrgentGuard(Arc<Urgency>);

impl Drop for UrgentGuard {
    fn drop(&mut self) {
        self.0.last_ms.store(self.0.now_ms(), Ordering::Relaxed);
        self.0.announced.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Consumer side of both queues, for one thread.
pub(super) struct BatchReceiver<M: BatchModel> {
    urgent: Receiver<Request<M>>,
    bulk: Receiver<Request<M>>,
    urgency: Arc<Urgency>,
    /// A spare thread takes no bulk items while an urgent one is announced.
    spare: bool,
    /// Urgent batches since the last bulk one.
    urgent_in_a_row: u32,
}

impl<M: BatchModel> BatchReceiver<M> {
    pub(super) fn new(
        urgent: Receiver<Request<M>>,
        bulk: Receiver<Request<M>>,
        urgency: Arc<Urgency>,
        spare: bool,
    ) -> Self {
        Self { urgent, bulk, urgency, spare, urgent_in_a_row: 0 }
    }

    /// Blocks until an item arrives, and returns it with the items of its priority that wait
    /// already, at most `max` in all. `None` once all senders are dropped.
    pub(super) fn next_batch(&mut self, max: usize) -> Option<Vec<Request<M>>> {
        while self.spare && self.urgency.is_on() {
            match self.urgent.recv_timeout(SPARE_POLL) {
                Ok(first) => return Some(self.fill(first, Priority::Urgent, max)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        let order = match self.urgent_in_a_row {
            0..MAX_URGENT_IN_A_ROW => [Priority::Urgent, Priority::Bulk],
            _ => [Priority::Bulk, Priority::Urgent],
        };
        let waiting = order
            .into_iter()
            .find_map(|priority| Some((self.receiver(priority).try_recv().ok()?, priority)));
        let (first, priority) = match waiting {
            Some(waiting) => waiting,
            // One `Batcher` owns both senders: both queues close together.
            None => select! {
                recv(self.urgent) -> first => (first.ok()?, Priority::Urgent),
                recv(self.bulk) -> first => (first.ok()?, Priority::Bulk),
            },
        };
        Some(self.fill(first, priority, max))
    }

    fn receiver(&self, priority: Priority) -> &Receiver<Request<M>> {
        match priority {
            Priority::Urgent => &self.urgent,
            Priority::Bulk => &self.bulk,
        }
    }

    /// `first` and the requests of its priority that wait already. A bulk batch is a quarter of
    /// `max` while urgent items are announced.
    fn fill(&mut self, first: Request<M>, priority: Priority, max: usize) -> Vec<Request<M>> {
        let max = match priority {
            Priority::Bulk if self.urgency.is_on() => max.div_ceil(4),
            _ => max,
        };
        self.urgent_in_a_row = match priority {
            Priority::Urgent => self.urgent_in_a_row.saturating_add(1),
            Priority::Bulk => 0,
        };
        let mut requests = vec![first];
        requests.extend(self.receiver(priority).try_iter().take(max - 1));
        requests
    }
}
