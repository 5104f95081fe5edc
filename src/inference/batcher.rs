//! Threads that own a model each and share one bounded queue of items.
//!
//! Batches form from backlog: a thread that is free takes what waits, up to the batch size, and
//! never waits for more. Under load batches are full; a lone item goes at once. Urgent items go
//! first, in batches of their own: somebody waits for them, and a full batch takes longer than a
//! small one. While both wait, every fifth batch of a thread is bulk, so that neither starves.
//! While an urgent item is announced ([`Batcher::expect_urgent`]), bulk goes in quarter batches and
//! through half of the threads: one is then free.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, select, unbounded};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::recogniser::Recogniser;
use crate::domain::{Chip, Recognition};
use crate::telemetry::metrics;
use crate::telemetry::vitals::{Activity, ActivityGuard};

/// Why an item got no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BatchError(Arc<str>);

impl BatchError {
    fn new(reason: &str) -> Self {
        Self(reason.into())
    }

    /// The promise of one answer an item was broken.
    pub fn no_answer() -> Self {
        Self::new("the model gave no answer")
    }
}

/// What a thread owns and runs.
pub trait BatchModel: Send + 'static {
    /// An item.
    type Input: Send + 'static;
    /// Its answer.
    type Output: Send + 'static;

    /// One answer an item, in order.
    ///
    /// # Errors
    /// Whatever makes the whole batch fail.
    fn run(&mut self, batch: &[Self::Input]) -> Result<Vec<Self::Output>, String>;
}

impl BatchModel for Recogniser {
    type Input = Chip;
    type Output = Option<Recognition>;

    fn run(&mut self, batch: &[Chip]) -> Result<Vec<Option<Recognition>>, String> {
        self.recognise(batch).map_err(|error| error.to_string())
    }
}

struct Request<M: BatchModel> {
    item: M::Input,
    answer: oneshot::Sender<Result<M::Output, BatchError>>,
    /// The item's place in the queue, free again once a thread takes the item.
    place: OwnedSemaphorePermit,
}

/// How soon an item is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for it.
    Urgent,
    /// Nobody does.
    Bulk,
}

/// The way to the threads. They end when the last clone is gone.
pub struct Batcher<M: BatchModel> {
    urgent: Entrance<M>,
    bulk: Entrance<M>,
    urgency: Arc<Urgency>,
    activity: Arc<[Activity]>,
}

/// An urgent item that is on its way, until this is dropped.
#[must_use]
pub struct Expected(Arc<Urgency>);

impl Drop for Expected {
    fn drop(&mut self) {
        self.0.last_ms.store(self.0.now_ms(), Ordering::Relaxed);
        self.0.expected.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Whether urgent items are on their way.
struct Urgency {
    expected: AtomicUsize,
    /// When the last one was through, milliseconds after the beginning.
    last_ms: AtomicU64,
    beginning: Instant,
}

impl Urgency {
    fn now_ms(&self) -> u64 {
        u64::try_from(self.beginning.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Urgent items rarely come alone: what is true while one is here goes on for a moment.
    fn is_on(&self) -> bool {
        let last = self.last_ms.load(Ordering::Relaxed);
        self.expected.load(Ordering::Relaxed) > 0
            || (last > 0 && self.now_ms().saturating_sub(last) < MOMENT_MS)
    }
}

/// How long threads stay ready for the next urgent item.
const MOMENT_MS: u64 = 250;

/// A bounded queue's end for those who ask. Each priority has its own, so that the urgent never
/// wait for a place behind bulk.
struct Entrance<M: BatchModel> {
    requests: Sender<Request<M>>,
    places: Arc<Semaphore>,
}

impl<M: BatchModel> Entrance<M> {
    fn new(places: usize) -> (Self, Receiver<Request<M>>) {
        let (requests, queue) = unbounded();
        (Self { requests, places: Arc::new(Semaphore::new(places)) }, queue)
    }
}

impl<M: BatchModel> Clone for Entrance<M> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone(), places: self.places.clone() }
    }
}

impl<M: BatchModel> Clone for Batcher<M> {
    fn clone(&self) -> Self {
        Self {
            urgent: self.urgent.clone(),
            bulk: self.bulk.clone(),
            urgency: self.urgency.clone(),
            activity: self.activity.clone(),
        }
    }
}

impl<M: BatchModel> Batcher<M> {
    /// Starts a thread called `name` for each of `models`, with batches of up to `batch` items.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(name: &str, models: Vec<M>, batch: usize) -> std::io::Result<Self> {
        let batch = batch.max(1);
        // Two full batches a thread may wait: no thread runs dry, and memory stays bounded.
        let places = 2 * batch * models.len().max(1);
        let first_spare = models.len().div_ceil(2);
        let (urgent, urgent_queue) = Entrance::new(places);
        let (bulk, bulk_queue) = Entrance::new(places);
        let beginning = Instant::now();
        let urgency = Arc::new(Urgency {
            expected: AtomicUsize::new(0),
            last_ms: AtomicU64::new(0),
            beginning,
        });
        let activity: Arc<[Activity]> =
            (0..models.len()).map(|index| Activity::new(&format!("{name}-{index}"))).collect();
        for (index, model) in models.into_iter().enumerate() {
            let mut queue = Queue {
                urgent: urgent_queue.clone(),
                bulk: bulk_queue.clone(),
                urgency: urgency.clone(),
                spare: index >= first_spare,
                in_a_row: 0,
            };
            let stage = name.to_owned();
            let guard = activity[index].guard();
            let thread = thread::Builder::new().name(format!("{name}-{index}"));
            thread.spawn(move || serve(model, &mut queue, batch, &stage, &guard))?;
        }
        Ok(Self { urgent, bulk, urgency, activity })
    }

    /// The activity of each thread.
    pub fn activity(&self) -> &[Activity] {
        &self.activity
    }

    /// Announces an urgent item that will come from an earlier stage.
    pub fn expect_urgent(&self) -> Expected {
        self.urgency.expected.fetch_add(1, Ordering::Relaxed);
        Expected(self.urgency.clone())
    }

    /// Runs `items`; each joins whatever batch is next. Waits while the queue is full. One answer
    /// an item, in order.
    ///
    /// # Errors
    /// If an item failed in a batch of its own too.
    pub async fn run(
        &self,
        items: Vec<M::Input>,
        priority: Priority,
    ) -> Result<Vec<M::Output>, BatchError> {
        let Entrance { requests, places } = match priority {
            Priority::Urgent => &self.urgent,
            Priority::Bulk => &self.bulk,
        };
        let gone = || BatchError::new("the threads that run the models have ended");
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let place = places.clone().acquire_owned().await.map_err(|_| gone())?;
            let (answer, receiver) = oneshot::channel();
            requests.send(Request { item, answer, place }).map_err(|_| gone())?;
            answers.push(receiver);
        }
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            results.push(answer.await.map_err(|_| gone())??);
        }
        Ok(results)
    }
}

/// Urgent batches in a row while bulk waits: the weights of the lanes, 16 to 4.
const MOST_URGENT: u32 = 4;

/// How often a spare thread looks whether it is still wanted as such.
const LOOK_AGAIN: Duration = Duration::from_millis(2);

/// A thread's end of the two queues.
struct Queue<M: BatchModel> {
    urgent: Receiver<Request<M>>,
    bulk: Receiver<Request<M>>,
    /// Urgent items on their way.
    urgency: Arc<Urgency>,
    /// Whether this thread takes no bulk while there are.
    spare: bool,
    /// Urgent batches since the last bulk one.
    in_a_row: u32,
}

impl<M: BatchModel> Queue<M> {
    /// Waits for an item; the rest of its batch is what waits beside it. None once nobody can ask
    /// any more.
    fn next(&mut self, batch: usize) -> Option<Vec<Request<M>>> {
        while self.spare && self.urgency.is_on() {
            match self.urgent.recv_timeout(LOOK_AGAIN) {
                Ok(first) => return Some(self.batch(first, Priority::Urgent, batch)),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
        }
        let order = match self.in_a_row {
            0..MOST_URGENT => [Priority::Urgent, Priority::Bulk],
            _ => [Priority::Bulk, Priority::Urgent],
        };
        let waiting = order
            .into_iter()
            .find_map(|priority| Some((self.of(priority).try_recv().ok()?, priority)));
        let (first, priority) = match waiting {
            Some(waiting) => waiting,
            // Both have gone at once: they belong to one `Batcher`.
            None => select! {
                recv(self.urgent) -> first => (first.ok()?, Priority::Urgent),
                recv(self.bulk) -> first => (first.ok()?, Priority::Bulk),
            },
        };
        Some(self.batch(first, priority, batch))
    }

    fn of(&self, priority: Priority) -> &Receiver<Request<M>> {
        match priority {
            Priority::Urgent => &self.urgent,
            Priority::Bulk => &self.bulk,
        }
    }

    /// `first` and what waits beside it.
    fn batch(&mut self, first: Request<M>, priority: Priority, batch: usize) -> Vec<Request<M>> {
        let most = match priority {
            Priority::Bulk if self.urgency.is_on() => batch.div_ceil(4),
            _ => batch,
        };
        self.in_a_row =
            if priority == Priority::Urgent { self.in_a_row.saturating_add(1) } else { 0 };
        let mut requests = vec![first];
        requests.extend(self.of(priority).try_iter().take(most - 1));
        requests
    }
}

fn serve<M: BatchModel>(
    mut model: M,
    queue: &mut Queue<M>,
    batch: usize,
    stage: &str,
    guard: &ActivityGuard,
) {
    while let Some(mut requests) = queue.next(batch) {
        // Nobody waits for these any more.
        requests.retain(|request| !request.answer.is_closed());
        metrics::batch(stage, requests.len());
        guard.begin();
        answer(&mut model, requests);
        guard.end();
    }
}

/// Runs a batch; if it fails, its members are tried singly, so that one bad item does not take the
/// others along.
fn answer<M: BatchModel>(model: &mut M, requests: Vec<Request<M>>) {
    let mut items = Vec::with_capacity(requests.len());
    let mut answers = Vec::with_capacity(requests.len());
    for Request { item, answer, place } in requests {
        drop(place);
        items.push(item);
        answers.push(answer);
    }
    let results: Vec<Result<M::Output, BatchError>> = match attempt(model, &items) {
        Ok(results) => results.into_iter().map(Ok).collect(),
        Err(error) if items.len() <= 1 => items.iter().map(|_| Err(error.clone())).collect(),
        Err(error) => {
            tracing::warn!(%error, batch = items.len(), "a batch failed; its members are tried \
                singly");
            let single = |item| {
                attempt(model, std::slice::from_ref(item))
                    .and_then(|mut one| one.pop().ok_or(error.clone()))
            };
            items.iter().map(single).collect()
        }
    };
    for (answer, result) in answers.into_iter().zip(results) {
        // Whoever asked may have gone meanwhile.
        answer.send(result).ok();
    }
}

fn attempt<M: BatchModel>(model: &mut M, items: &[M::Input]) -> Result<Vec<M::Output>, BatchError> {
    if items.is_empty() {
        return Ok(Vec::new());
    }
    let results = catch_unwind(AssertUnwindSafe(|| model.run(items)))
        .map_err(|_| BatchError::new("the model panicked"))?
        .map_err(|reason| BatchError::new(&reason))?;
    if results.len() == items.len() {
        return Ok(results);
    }
    Err(BatchError::new(&format!(
        "the model gave {} answers for {} items",
        results.len(),
        items.len()
    )))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// Doubles numbers; fails on a batch with a 13, panics on a 17; tells the sizes of its batches;
    /// waits at a gate once.
    struct Doubler {
        sizes: Arc<Mutex<Vec<usize>>>,
        entered: Arc<AtomicBool>,
        gate: Option<mpsc::Receiver<()>>,
    }

    impl BatchModel for Doubler {
        type Input = u32;
        type Output = u32;

        fn run(&mut self, batch: &[u32]) -> Result<Vec<u32>, String> {
            self.entered.store(true, Ordering::SeqCst);
            if let Some(gate) = self.gate.take() {
                gate.recv().unwrap();
            }
            self.sizes.lock().unwrap().push(batch.len());
            assert!(!batch.contains(&17), "seventeen");
            if batch.contains(&13) {
                Err("thirteen".into())
            } else {
                Ok(batch.iter().map(|n| n * 2).collect())
            }
        }
    }

    #[tokio::test]
    async fn batches_grow_with_the_backlog_and_a_lone_item_goes_at_once() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let entered = Arc::new(AtomicBool::new(false));
        let (open, gate) = mpsc::channel();
        let model = Doubler { sizes: sizes.clone(), entered: entered.clone(), gate: Some(gate) };
        let batcher = Batcher::start("double", vec![model], 4).unwrap();
        let first = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.run(vec![1], Priority::Bulk).await }
        });
        while !entered.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        let rest = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.run(vec![2, 3, 4, 5, 6], Priority::Bulk).await }
        });
        while batcher.bulk.requests.len() < 5 {
            tokio::task::yield_now().await;
        }
        open.send(()).unwrap();
        assert_eq!(first.await.unwrap().unwrap(), [2]);
        assert_eq!(rest.await.unwrap().unwrap(), [4, 6, 8, 10, 12]);
        assert_eq!(*sizes.lock().unwrap(), [1, 4, 1]);
    }

    #[tokio::test]
    async fn a_failing_item_does_not_take_its_batch_along() {
        for bad in [13, 17] {
            let (open, gate) = mpsc::channel();
            let model =
                Doubler { sizes: Arc::default(), entered: Arc::default(), gate: Some(gate) };
            let batcher = Batcher::start("double", vec![model], 4).unwrap();
            let one = |n| {
                let batcher = batcher.clone();
                tokio::spawn(async move { batcher.run(vec![n], Priority::Bulk).await })
            };
            let tasks = [one(1), one(2), one(bad), one(3)];
            while batcher.bulk.requests.len() < 3 {
                tokio::task::yield_now().await;
            }
            open.send(()).unwrap();
            let mut results = Vec::new();
            for task in tasks {
                results.push(task.await.unwrap());
            }
            assert_eq!(results[0], Ok(vec![2]));
            assert_eq!(results[1], Ok(vec![4]));
            assert!(results[2].is_err(), "{bad}");
            assert_eq!(results[3], Ok(vec![6]));
        }
    }

    #[tokio::test]
    async fn bulk_goes_in_small_batches_while_an_urgent_item_is_expected() {
        for (announced, expected) in [(true, [1, 1, 1, 1, 1]), (false, [1, 4, 0, 0, 0])] {
            let sizes = Arc::new(Mutex::new(Vec::new()));
            let (open, gate) = mpsc::channel();
            let model = Doubler { sizes: sizes.clone(), entered: Arc::default(), gate: Some(gate) };
            let entered = model.entered.clone();
            let batcher = Batcher::start("double", vec![model], 4).unwrap();
            let ask = |items: Vec<u32>| {
                let batcher = batcher.clone();
                tokio::spawn(async move { batcher.run(items, Priority::Bulk).await })
            };
            let first = ask(vec![1]);
            while !entered.load(Ordering::SeqCst) {
                tokio::task::yield_now().await;
            }
            let rest = ask(vec![2, 3, 4, 5]);
            while batcher.bulk.requests.len() < 4 {
                tokio::task::yield_now().await;
            }
            let urgent = announced.then(|| batcher.expect_urgent());
            open.send(()).unwrap();
            rest.await.unwrap().unwrap();
            first.await.unwrap().unwrap();
            drop(urgent);
            let expected: Vec<usize> = expected.into_iter().filter(|&size| size > 0).collect();
            assert_eq!(*sizes.lock().unwrap(), expected);
        }
    }

    #[test]
    fn urgent_items_without_end_do_not_starve_bulk() {
        let places = Arc::new(Semaphore::new(100));
        let ((urgent, urgent_queue), (bulk, bulk_queue)) = (unbounded(), unbounded());
        let ask = |requests: &Sender<Request<Doubler>>, item| {
            let place = places.clone().try_acquire_owned().unwrap();
            requests.send(Request { item, answer: oneshot::channel().0, place }).unwrap();
        };
        (1..=10).for_each(|item| ask(&urgent, item));
        (101..=103).for_each(|item| ask(&bulk, item));
        let urgency = Arc::new(Urgency {
            expected: AtomicUsize::new(0),
            last_ms: AtomicU64::new(0),
            beginning: Instant::now(),
        });
        let mut queue =
            Queue { urgent: urgent_queue, bulk: bulk_queue, urgency, spare: false, in_a_row: 0 };
        let order: Vec<u32> = (0..13).map(|_| queue.next(1).unwrap()[0].item).collect();
        assert_eq!(order, [1, 2, 3, 4, 101, 5, 6, 7, 8, 102, 9, 10, 103]);
    }

    #[tokio::test]
    async fn urgent_items_overtake_bulk_and_share_no_batch_with_it() {
        let sizes = Arc::new(Mutex::new(Vec::new()));
        let (open, gate) = mpsc::channel();
        let model = Doubler { sizes: sizes.clone(), entered: Arc::default(), gate: Some(gate) };
        let entered = model.entered.clone();
        let batcher = Batcher::start("double", vec![model], 4).unwrap();
        let ask = |items: Vec<u32>, priority| {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.run(items, priority).await })
        };
        let first = ask(vec![1], Priority::Bulk);
        while !entered.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        // Both queues are full to their bounds while the thread is held; the urgent ones came last.
        let bulk = ask((0..8).collect(), Priority::Bulk);
        while batcher.bulk.requests.len() < 8 {
            tokio::task::yield_now().await;
        }
        let urgent = ask(vec![2, 3], Priority::Urgent);
        while batcher.urgent.requests.len() < 2 {
            tokio::task::yield_now().await;
        }
        open.send(()).unwrap();
        assert_eq!(urgent.await.unwrap().unwrap(), [4, 6]);
        assert_eq!(bulk.await.unwrap().unwrap().len(), 8);
        assert_eq!(first.await.unwrap().unwrap(), [2]);
        assert_eq!(*sizes.lock().unwrap(), [1, 2, 4, 4]);
    }
}
