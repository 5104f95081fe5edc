//! The limits of jobs and images at once, and the end of a worker.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use facefleet::domain::{ImageUri, OutcomeKind};
use facefleet::images::{FetchError, ImageSource};
use facefleet::queue::JobQueue;
use facefleet::store::Reading;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

use super::{Bench, Finished, PATIENCE, chip_file, count};
use crate::support::gallery;

/// Blocks every fetch until the test permits it, and counts the blocked ones.
struct Blocking {
    permits: Semaphore,
    blocked: watch::Sender<usize>,
    most: AtomicU32,
}

impl Blocking {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            permits: Semaphore::new(0),
            blocked: watch::Sender::new(0),
            most: AtomicU32::new(0),
        })
    }

    async fn wait_for(&self, count: usize) {
        let mut blocked = self.blocked.subscribe();
        timeout(PATIENCE, blocked.wait_for(|&now| now == count))
            .await
            .expect("the fetches should come")
            .unwrap();
    }

    fn most(&self) -> usize {
        self.most.load(Ordering::SeqCst) as usize
    }
}

#[async_trait]
impl ImageSource for Blocking {
    async fn fetch(&self, _image: &ImageUri) -> Result<Vec<u8>, FetchError> {
        self.blocked.send_modify(|count| {
            *count += 1;
            self.most.fetch_max(*count as u32, Ordering::SeqCst);
        });
        self.permits.acquire().await.unwrap().forget();
        self.blocked.send_modify(|count| *count -= 1);
        Ok(chip_file())
    }
}

/// Lets all tasks run until they block.
async fn run_tasks() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn no_more_jobs_are_in_flight_than_allowed() {
    const IN_FLIGHT: usize = 7;
    let source = Blocking::new();
    let mut bench = Bench::start(source.clone(), IN_FLIGHT, 1000).await;
    bench.publish(30).await;
    source.wait_for(IN_FLIGHT).await;
    run_tasks().await;
    let status = bench.queue.status().await.unwrap();
    assert_eq!(status.unsettled, Some(IN_FLIGHT as u64));
    assert_eq!(status.ready.iter().map(|(_, count)| count).sum::<u64>(), 30 - IN_FLIGHT as u64);
    assert_eq!(source.most(), IN_FLIGHT);
    // Once one is finished, the next is taken.
    source.permits.add_permits(1);
    bench.outcomes(1).await;
    source.wait_for(IN_FLIGHT).await;
    source.permits.add_permits(29);
    bench.outcomes(29).await;
    assert_eq!(source.most(), IN_FLIGHT);
    let Finished { summary, .. } = bench.finish().await;
    assert_eq!(count(&summary, OutcomeKind::Scored), 30);
}

#[tokio::test]
async fn no_more_images_are_in_memory_than_allowed() {
    const SLOTS: usize = 3;
    let source = Blocking::new();
    let mut bench = Bench::start(source.clone(), 20, SLOTS).await;
    bench.publish(25).await;
    source.wait_for(SLOTS).await;
    run_tasks().await;
    assert_eq!(source.most(), SLOTS);
    source.permits.add_permits(25);
    bench.outcomes(25).await;
    assert_eq!(source.most(), SLOTS);
    bench.finish().await;
}

#[tokio::test]
async fn a_worker_that_is_asked_to_stop_finishes_the_jobs_in_flight() {
    const IN_FLIGHT: usize = 5;
    let source = Blocking::new();
    let bench = Bench::start(source.clone(), IN_FLIGHT, 1000).await;
    bench.publish(12).await;
    source.wait_for(IN_FLIGHT).await;
    bench.stop.cancel();
    run_tasks().await;
    source.permits.add_permits(12);
    timeout(PATIENCE, bench.worker).await.expect("the worker should end").unwrap().unwrap();
    let status = bench.queue.status().await.unwrap();
    assert_eq!(
        (status.unsettled, status.ready.iter().map(|(_, count)| count).sum::<u64>()),
        (Some(0), 12 - IN_FLIGHT as u64)
    );
    let summary = bench.store.summary(&gallery(), &bench.profile.id()).await.unwrap();
    assert_eq!(count(&summary, OutcomeKind::Scored), IN_FLIGHT as u64);
}
