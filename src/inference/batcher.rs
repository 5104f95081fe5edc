//! Threads that own a model each and share one bounded queue of items.
//!
//! Batches form from backlog: a thread that is free takes what waits, up to the batch size, and never waits for more. Under load
//! batches are full; a lone item goes at once.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, unbounded};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::recogniser::Recogniser;
use crate::domain::{Chip, Recognition};
use crate::telemetry::metrics;

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

/// The way to the threads. They end when the last clone is gone.
pub struct Batcher<M: BatchModel> {
    requests: Sender<Request<M>>,
    places: Arc<Semaphore>,
}

impl<M: BatchModel> Clone for Batcher<M> {
    fn clone(&self) -> Self {
        Self { requests: self.requests.clone(), places: self.places.clone() }
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
        let places = Arc::new(Semaphore::new(2 * batch * models.len().max(1)));
        let (requests, queue) = unbounded();
        for (index, model) in models.into_iter().enumerate() {
            let queue = queue.clone();
            let stage = name.to_owned();
            thread::Builder::new().name(format!("{name}-{index}")).spawn(move || serve(model, &queue, batch, &stage))?;
        }
        Ok(Self { requests, places })
    }

    /// Runs `items`; each joins whatever batch is next. Waits while the queue is full. One answer an item, in order.
    ///
    /// # Errors
    /// If an item failed in a batch of its own too.
    pub async fn run(&self, items: Vec<M::Input>) -> Result<Vec<M::Output>, BatchError> {
        let gone = || BatchError::new("the threads that run the models have ended");
        let mut answers = Vec::with_capacity(items.len());
        for item in items {
            let place = self.places.clone().acquire_owned().await.map_err(|_| gone())?;
            let (answer, receiver) = oneshot::channel();
            self.requests.send(Request { item, answer, place }).map_err(|_| gone())?;
            answers.push(receiver);
        }
        let mut results = Vec::with_capacity(answers.len());
        for answer in answers {
            results.push(answer.await.map_err(|_| gone())??);
        }
        Ok(results)
    }
}

fn serve<M: BatchModel>(mut model: M, queue: &Receiver<Request<M>>, batch: usize, stage: &str) {
    while let Ok(first) = queue.recv() {
        let mut requests = vec![first];
        while requests.len() < batch
            && let Ok(next) = queue.try_recv()
        {
            requests.push(next);
        }
        // Nobody waits for these any more.
        requests.retain(|request| !request.answer.is_closed());
        metrics::batch(stage, requests.len());
        answer(&mut model, requests);
    }
}

/// Runs a batch; if it fails, its members are tried singly, so that one bad item does not take the others along.
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
            tracing::warn!(%error, batch = items.len(), "a batch failed; its members are tried singly");
            let single = |item| attempt(model, std::slice::from_ref(item)).and_then(|mut one| one.pop().ok_or(error.clone()));
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
    Err(BatchError::new(&format!("the model gave {} answers for {} items", results.len(), items.len())))
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::sync::mpsc;

    use super::*;

    /// Doubles numbers; fails on a batch with a 13, panics on a 17; tells the sizes of its batches; waits at a gate once.
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
            if batch.contains(&13) { Err("thirteen".into()) } else { Ok(batch.iter().map(|n| n * 2).collect()) }
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
            async move { batcher.run(vec![1]).await }
        });
        while !entered.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        let rest = tokio::spawn({
            let batcher = batcher.clone();
            async move { batcher.run(vec![2, 3, 4, 5, 6]).await }
        });
        while batcher.requests.len() < 5 {
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
            let model = Doubler { sizes: Arc::default(), entered: Arc::default(), gate: Some(gate) };
            let batcher = Batcher::start("double", vec![model], 4).unwrap();
            let one = |n| {
                let batcher = batcher.clone();
                tokio::spawn(async move { batcher.run(vec![n]).await })
            };
            let tasks = [one(1), one(2), one(bad), one(3)];
            while batcher.requests.len() < 3 {
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
}
