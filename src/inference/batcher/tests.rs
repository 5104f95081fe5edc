//! The batcher with a model that doubles numbers.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};

use super::*;

/// Doubles numbers. Fails on a batch with a 13, panics on a 17.
struct Doubler {
    /// The sizes of the batches that it ran.
    sizes: Arc<Mutex<Vec<usize>>>,
    /// Set when the first batch starts.
    entered: Arc<AtomicBool>,
    /// Blocks the first batch until a message arrives.
    block: Option<mpsc::Receiver<()>>,
}

impl BatchModel for Doubler {
    type Input = u32;
    type Output = u32;

    fn run(&mut self, batch: &[u32]) -> Result<Vec<u32>, String> {
        self.entered.store(true, Ordering::SeqCst);
        if let Some(block) = self.block.take() {
            block.recv().unwrap();
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
    let (unblock, block) = mpsc::channel();
    let model = Doubler { sizes: sizes.clone(), entered: entered.clone(), block: Some(block) };
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
    unblock.send(()).unwrap();
    assert_eq!(first.await.unwrap().unwrap(), [2]);
    assert_eq!(rest.await.unwrap().unwrap(), [4, 6, 8, 10, 12]);
    assert_eq!(*sizes.lock().unwrap(), [1, 4, 1]);
}

#[tokio::test]
async fn a_failing_item_does_not_take_its_batch_along() {
    for bad in [13, 17] {
        let (unblock, block) = mpsc::channel();
        let model = Doubler { sizes: Arc::default(), entered: Arc::default(), block: Some(block) };
        let entered = model.entered.clone();
        let batcher = Batcher::start("double", vec![model], 4).unwrap();
        let one = |n| {
            let batcher = batcher.clone();
            tokio::spawn(async move { batcher.run(vec![n], Priority::Bulk).await })
        };
        let first = one(1);
        // Otherwise the first batch may have two of them.
        while !entered.load(Ordering::SeqCst) {
            tokio::task::yield_now().await;
        }
        let tasks = [first, one(2), one(bad), one(3)];
        while batcher.bulk.requests.len() < 3 {
            tokio::task::yield_now().await;
        }
        unblock.send(()).unwrap();
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
        let (unblock, block) = mpsc::channel();
        let model = Doubler { sizes: sizes.clone(), entered: Arc::default(), block: Some(block) };
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
        unblock.send(()).unwrap();
        rest.await.unwrap().unwrap();
        first.await.unwrap().unwrap();
        drop(urgent);
        let expected: Vec<usize> = expected.into_iter().filter(|&size| size > 0).collect();
        assert_eq!(*sizes.lock().unwrap(), expected);
    }
}

#[test]
fn urgent_items_without_end_do_not_starve_bulk() {
    let (urgent, urgent_requests) = queue::bounded::<Doubler>(100);
    let (bulk, bulk_requests) = queue::bounded(100);
    let send = |sender: &BoundedSender<Doubler>, item| {
        let slot = sender.slots.clone().try_acquire_owned().unwrap();
        let request = Request { item, reply: oneshot::channel().0, slot };
        sender.requests.send(request).unwrap();
    };
    (1..=10).for_each(|item| send(&urgent, item));
    (101..=103).for_each(|item| send(&bulk, item));
    let mut queue = BatchReceiver::new(urgent_requests, bulk_requests, Arc::default(), false);
    let order: Vec<u32> = (0..13).map(|_| queue.next_batch(1).unwrap()[0].item).collect();
    assert_eq!(order, [1, 2, 3, 4, 101, 5, 6, 7, 8, 102, 9, 10, 103]);
}

#[tokio::test]
async fn urgent_items_overtake_bulk_and_share_no_batch_with_it() {
    let sizes = Arc::new(Mutex::new(Vec::new()));
    let (unblock, block) = mpsc::channel();
    let model = Doubler { sizes: sizes.clone(), entered: Arc::default(), block: Some(block) };
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
    // Both queues fill while the thread is blocked. The urgent items are sent last.
    let bulk = ask((0..8).collect(), Priority::Bulk);
    while batcher.bulk.requests.len() < 8 {
        tokio::task::yield_now().await;
    }
    let urgent = ask(vec![2, 3], Priority::Urgent);
    while batcher.urgent.requests.len() < 2 {
        tokio::task::yield_now().await;
    }
    unblock.send(()).unwrap();
    assert_eq!(urgent.await.unwrap().unwrap(), [4, 6]);
    assert_eq!(bulk.await.unwrap().unwrap().len(), 8);
    assert_eq!(first.await.unwrap().unwrap(), [2]);
    assert_eq!(*sizes.lock().unwrap(), [1, 2, 4, 4]);
}

/// A model on a device that is gone: no item has a result, and the self-test says `known`.
struct Gone {
    known: Result<(), String>,
}

impl BatchModel for Gone {
    type Input = u32;
    type Output = u32;

    fn run(&mut self, _: &[u32]) -> Result<Vec<u32>, String> {
        Err("no kernel ran".into())
    }

    fn self_test(&mut self) -> Result<(), String> {
        self.known.clone()
    }
}

#[tokio::test]
async fn a_lost_device_is_not_charged_to_its_items() {
    let models = [0, 1].map(|_| Gone { known: Err("the GPU fell off the bus".into()) });
    let batcher = Batcher::start("gone", models.into(), 4).unwrap();
    let items = batcher.run(vec![1, 2, 3], Priority::Bulk).await;
    assert_eq!(items, Err(BatchError::Lost("the GPU fell off the bus".into())));
    assert_eq!(&*batcher.lost().await, "the GPU fell off the bus");
    // Whichever thread takes it.
    let next = batcher.run(vec![4], Priority::Urgent).await;
    assert_eq!(next, Err(BatchError::Lost("the GPU fell off the bus".into())));
}

#[tokio::test]
async fn items_that_fail_on_a_working_model_failed_themselves() {
    let batcher = Batcher::start("works", vec![Gone { known: Ok(()) }], 4).unwrap();
    let items = batcher.run(vec![1], Priority::Bulk).await;
    assert_eq!(items, Err(BatchError::Failed("no kernel ran".into())));
    let lost = tokio::time::timeout(Duration::from_millis(10), batcher.lost()).await;
    assert!(lost.is_err(), "the model works");
}
