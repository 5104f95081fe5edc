//! Threads that own one model each and share a bounded queue of items.
//!
//! A thread forms its batch from the items that wait, up to the batch size, and never waits for
//! more: batches grow with the backlog, a lone item runs at once, and there is no timer.
//!
//! Urgent items run first, in separate batches: a caller waits for them, and a full batch takes
//! longer than a small one. While both priorities wait, every fifth batch of a thread is bulk, so
//! that neither starves. While an urgent item is announced ([`Batcher::expect_urgent`]), bulk items
//! run in quarter batches and on half of the threads, so that a thread is free for it.

mod queue;
#[cfg(test)]
mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use self::queue::{BatchReceiver, BoundedSender, Request, Urgency};
use super::recogniser::{NetworkAnswer, Recogniser};
use crate::domain::Chip;
use crate::telemetry::metrics;
use crate::telemetry::vitals::{Activity, ActivityGuard};
pub use queue::UrgentGuard;

/// The waits before the self-tests of a model that gave no result.
const PAUSES: [Duration; 3] =
    [Duration::ZERO, Duration::from_millis(500), Duration::from_millis(1500)];

/// How long a batcher's threads may take to end.
const LONGEST_END: Duration = Duration::from_secs(5);

/// Why an item has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// The item failed.
    #[error("{0}")]
    Failed(Arc<str>),
    /// The model works no longer, and no item will have a result.
    #[error("{0}")]
    Lost(Arc<str>),
}

impl BatchError {
    fn new(reason: &str) -> Self {
        Self::Failed(reason.into())
    }

    /// The batcher returned fewer results than items.
    pub fn no_answer() -> Self {
        Self::new("the model returned no result")
    }
}

/// A model that a batcher's thread owns and runs.
pub trait BatchModel: Send + 'static {
    /// One item of a batch.
    type Input: Send + 'static;
    /// The result for one item.
    type Output: Send + 'static;

    /// Runs `batch` and returns one result per item, in the same order.
    ///
    /// # Errors
    /// If the whole batch fails.
    fn run(&mut self, batch: &[Self::Input]) -> Result<Vec<Self::Output>, String>;

    /// Runs a known item. It is called after a batch of which no item had a result.
    ///
    /// # Errors
    /// If the known result does not come: the model works no longer.
    fn self_test(&mut self) -> Result<(), String> {
        Ok(())
    }
}

impl BatchModel for Recogniser {
    type Input = Chip;
    type Output = Option<NetworkAnswer>;

    fn run(&mut self, batch: &[Chip]) -> Result<Vec<Option<NetworkAnswer>>, String> {
        self.recognise(batch).map_err(|error| error.to_string())
    }

    fn self_test(&mut self) -> Result<(), String> {
        Self::self_test(self).map_err(|error| error.to_string())
    }
}

/// How soon an item must run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// A caller waits for the result.
    Urgent,
    /// No caller waits.
    Bulk,
}

/// Sends items to the threads. The threads end when the last clone is dropped.
pub struct Batcher<M: BatchModel> {
    urgent: BoundedSender<M>,
    bulk: BoundedSender<M>,
    urgency: Arc<Urgency>,
    activity: Arc<[Activity]>,
    loss: watch::Receiver<Option<Arc<str>>>,
    /// Dropped after the senders, whose end ends the threads.
    threads: Arc<Threads>,
}

/// Threads that own a model. Dropping it waits until the models are dropped: a process that exits
/// while a GPU's library frees a session ends with a segmentation fault.
struct Threads(Mutex<mpsc::Receiver<()>>);

impl Drop for Threads {
    fn drop(&mut self) {
        let ended = self.0.get_mut().unwrap_or_else(PoisonError::into_inner);
        // Disconnected once the last thread has ended. A hanging one does not keep the process.
        if ended.recv_timeout(LONGEST_END) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("a thread that runs a model does not end");
        }
    }
}

impl<M: BatchModel> Clone for Batcher<M> {
    fn clone(&self) -> Self {
        Self {
            urgent: self.urgent.clone(),
            bulk: self.bulk.clone(),
            urgency: self.urgency.clone(),
            activity: self.activity.clone(),
            loss: self.loss.clone(),
            threads: self.threads.clone(),
        }
    }
}

impl<M: BatchModel> Batcher<M> {
    /// Starts a thread for each of `models`, named `{name}-{index}`, with batches of up to `batch`
    /// items.
    ///
    /// # Errors
    /// If a thread cannot be started.
    pub fn start(name: &str, models: Vec<M>, batch: usize) -> std::io::Result<Self> {
        let batch = batch.max(1);
        // Two full batches per thread: no thread runs dry, and memory stays bounded.
        let slots = 2 * batch * models.len().max(1);
        let first_spare = models.len().div_ceil(2);
        let (urgent, urgent_requests) = queue::bounded(slots);
        let (bulk, bulk_requests) = queue::bounded(slots);
        let urgency = Arc::<Urgency>::default();
        let (lost, loss) = watch::channel(None);
        let (running, ended) = mpsc::channel();
        let activity: Arc<[Activity]> =
            (0..models.len()).map(|index| Activity::new(&format!("{name}-{index}"))).collect();
        for (index, model) in models.into_iter().enumerate() {
            let mut requests = BatchReceiver::new(
                urgent_requests.clone(),
                bulk_requests.clone(),
                urgency.clone(),
                index >= first_spare,
            );
            let stage = name.to_owned();
            let guard = activity[index].guard();
            let thread = thread::Builder::new().name(format!("{name}-{index}"));
            let (lost, running) = (lost.clone(), running.clone());
            thread.spawn(move || {
                serve(model, &mut requests, batch, (&stage, &guard), &lost);
                drop(running);
            })?;
        }
        let threads = Arc::new(Threads(Mutex::new(ended)));
        Ok(Self { urgent, bulk, urgency, activity, loss, threads })
    }

    /// Waits until a model works no longer, and says why. Ends only then.
    pub async fn lost(&self) -> Arc<str> {
        let mut loss = self.loss.clone();
        if let Ok(reason) = loss.wait_for(Option::is_some).await
            && let Some(reason) = reason.as_ref()
        {
            return reason.clone();
        }
        std::future::pending().await
    }

    /// The activity of each thread.
    pub fn activity(&self) -> &[Activity] {
        &self.activity
    }

    /// Announces an urgent item that an earlier stage will send. The announcement lasts until the
    /// guard is dropped.
    pub fn expect_urgent(&self) -> UrgentGuard {
        self.urgency.announce()
    }

    /// Runs `items`, each in the next batch that a thread forms, and returns one result per item,
    /// in the same order. Waits while the queue is full.
    ///
    /// # Errors
    /// If an item also failed in a batch of one.
    pub async fn run(
        &self,
        items: Vec<M::Input>,
        priority: Priority,
    ) -> Result<Vec<M::Output>, BatchError> {
        let BoundedSender { requests, slots } = match priority {
            Priority::Urgent => &self.urgent,
            Priority::Bulk => &self.bulk,
        };
        let ended = || BatchError::new("the threads that run the models have ended");
        let mut replies = Vec::with_capacity(items.len());
        for item in items {
            let slot = slots.clone().acquire_owned().await.map_err(|_| ended())?;
            let (reply, receiver) = oneshot::channel();
            requests.send(Request { item, reply, slot }).map_err(|_| ended())?;
            replies.push(receiver);
        }
        let mut results = Vec::with_capacity(replies.len());
        for reply in replies {
            results.push(reply.await.map_err(|_| ended())??);
        }
        Ok(results)
    }
}

fn serve<M: BatchModel>(
    mut model: M,
    requests: &mut BatchReceiver<M>,
    batch: usize,
    (stage, guard): (&str, &ActivityGuard),
    lost: &watch::Sender<Option<Arc<str>>>,
) {
    while let Some(mut requests) = requests.next_batch(batch) {
        // Skip the items whose caller is gone.
        requests.retain(|request| !request.reply.is_closed());
        metrics::batch(stage, requests.len());
        guard.begin();
        run_batch(&mut model, requests, lost);
        guard.end();
    }
}

/// Runs a batch and sends the results. If the batch fails, each item runs alone, so that one bad
/// item does not fail the others. If no item has a result, the model is tested: if it works no
/// longer, that is not the items' fault.
fn run_batch<M: BatchModel>(
    model: &mut M,
    requests: Vec<Request<M>>,
    lost: &watch::Sender<Option<Arc<str>>>,
) {
    let mut items = Vec::with_capacity(requests.len());
    let mut replies = Vec::with_capacity(requests.len());
    for Request { item, reply, slot } in requests {
        drop(slot);
        items.push(item);
        replies.push(reply);
    }
    let loss = lost.borrow().clone();
    if let Some(reason) = loss {
        // Another thread's model is on the same device.
        for reply in replies {
            reply.send(Err(BatchError::Lost(reason.clone()))).ok();
        }
        return;
    }
    let mut results: Vec<Result<M::Output, BatchError>> = match run_model(model, &items) {
        Ok(results) => results.into_iter().map(Ok).collect(),
        Err(error) if items.len() <= 1 => items.iter().map(|_| Err(error.clone())).collect(),
        Err(error) => {
            tracing::warn!(%error, batch = items.len(), "a batch failed; each item runs alone");
            let single = |item| {
                run_model(model, std::slice::from_ref(item))
                    .and_then(|mut one| one.pop().ok_or(error.clone()))
            };
            items.iter().map(single).collect()
        }
    };
    if !results.is_empty()
        && results.iter().all(Result::is_err)
        && let Err(reason) = still_works(model)
    {
        tracing::error!(reason, "the model works no longer");
        let reason: Arc<str> = reason.into();
        lost.send_replace(Some(reason.clone()));
        results = results.iter().map(|_| Err(BatchError::Lost(reason.clone()))).collect();
    }
    for (reply, result) in replies.into_iter().zip(results) {
        // The caller may be gone.
        reply.send(result).ok();
    }
}

/// Tests the model several times: a device that another program fills may have room again.
fn still_works<M: BatchModel>(model: &mut M) -> Result<(), String> {
    let mut tested = Ok(());
    for wait in PAUSES {
        thread::sleep(wait);
        tested = catch_unwind(AssertUnwindSafe(|| model.self_test()))
            .unwrap_or_else(|_| Err("the self-test panicked".into()));
        if tested.is_ok() {
            break;
        }
    }
    tested
}

/// Runs the model, and turns a panic or a wrong number of results into an error.
fn run_model<M: BatchModel>(
    model: &mut M,
    items: &[M::Input],
) -> Result<Vec<M::Output>, BatchError> {
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
        "the model returned {} results for {} items",
        results.len(),
        items.len()
    )))
}
