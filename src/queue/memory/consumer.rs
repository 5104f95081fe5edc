//! Consumers of the queue in memory, and the settlement of their deliveries.

use std::collections::BTreeSet;
use std::future::ready;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::sleep_until;

use super::Shared;
use super::state::MemoryState;
use crate::domain::{Disposition, Job, Lane, SubQueue};
use crate::queue::lanes::LaneScheduler;
use crate::queue::{Consumer, Delivery, QueueError, Settle, next_attempt};

/// A consumer.
pub(super) struct MemoryConsumer {
    deliveries: Arc<MemoryDeliveries>,
    /// The sub-queues from which it takes.
    sub_queues: BTreeSet<SubQueue>,
    /// The number of deliveries so far: a lane and its sub-queues take turns by it.
    turn: usize,
}

impl MemoryConsumer {
    pub(super) fn new(shared: Arc<Shared>, lanes: &[Lane], prefetch: usize) -> Self {
        let scheduler = Mutex::new(LaneScheduler::new(lanes, prefetch));
        Self {
            deliveries: Arc::new(MemoryDeliveries { shared, scheduler }),
            sub_queues: BTreeSet::new(),
            turn: 0,
        }
    }

    fn take(&mut self, state: &mut MemoryState) -> Option<Job> {
        let pop = |lane| state.deliver(lane, &self.sub_queues, self.turn);
        let job = self.deliveries.scheduler().take(pop)?;
        self.turn = self.turn.wrapping_add(1);
        Some(job)
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let deliveries = Arc::clone(&self.deliveries);
        let shared = &deliveries.shared;
        loop {
            // Created before the state is read, so that no change after that is missed.
            let change = pin!(shared.change.notified());
            let next_due = {
                let mut state = shared.state();
                if state.closed {
                    return None;
                }
                state.promote_due();
                if let Some(job) = self.take(&mut state) {
                    if state.published() < shared.capacity {
                        shared.capacity_freed.notify_one();
                    }
                    return Some(Delivery::new(job, deliveries.clone()));
                }
                state.next_due()
            };
            match next_due {
                None => change.await,
                Some(due) => tokio::select! {
                    () = change => {}
                    () = sleep_until(due) => {}
                },
            }
        }
    }

    fn take_from(&mut self, sub_queues: BTreeSet<SubQueue>) {
        self.deliveries.shared.state().take_from(&sub_queues);
        self.sub_queues = sub_queues;
    }
}

/// Settles the deliveries of one consumer.
struct MemoryDeliveries {
    shared: Arc<Shared>,
    /// Changed only while the queue's lock is held, so the two locks are always taken in one order.
    scheduler: Mutex<LaneScheduler>,
}

impl MemoryDeliveries {
    fn scheduler(&self) -> MutexGuard<'_, LaneScheduler> {
        self.scheduler.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a delivery of `lane`; `put` puts its job where it belongs.
    fn end(&self, lane: Lane, put: impl FnOnce(&mut MemoryState)) {
        {
            let mut state = self.shared.state();
            put(&mut state);
            self.scheduler().settled(lane);
            state.end_delivery();
        }
        self.shared.change.notify_waiters();
    }
}

impl Settle for MemoryDeliveries {
    // Settles before the future is polled: dropping the future changes nothing.
    fn settle(
        &self,
        job: Job,
        disposition: Disposition,
    ) -> BoxFuture<'static, Result<bool, QueueError>> {
        self.end(job.lane, |state| match disposition {
            Disposition::Done => state.forget(job.id),
            Disposition::Retry(wait) => state.delay(next_attempt(job), wait),
            Disposition::Defer(wait) => state.delay(job, wait),
            Disposition::SetAside(sub_queue) => state.push_to(&sub_queue, job),
            Disposition::Bury(reason) => state.dead_letter(job, reason),
        });
        ready(Ok(true)).boxed()
    }

    // At the end of its lane, at once: a job that panics its worker must not delay the others.
    fn abandon(&self, job: Job) {
        self.end(job.lane, |state| state.push(next_attempt(job)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::queue::JobQueue;
    use crate::queue::memory::MemoryQueue;

    #[tokio::test]
    async fn busy_lanes_share_by_weight_and_idle_lanes_cost_nothing() {
        let queue = MemoryQueue::new(200);
        for lane in Lane::ALL {
            queue.publish(vec![Job::sample(lane); 40]).await.unwrap();
        }
        let mut consumer = queue.consume(&Lane::ALL, 200).await.unwrap();
        let mut held = Vec::new();
        for _ in 0..120 {
            held.push(consumer.next().await.unwrap());
        }
        let lanes: Vec<Lane> = held.iter().map(|delivery| delivery.job().lane).collect();
        let turn = [[Lane::Enrol; 16].as_slice(), &[Lane::Scan; 4], &[Lane::Rescore]].concat();
        assert_eq!(lanes[..42], [turn.clone(), turn].concat());
        assert_eq!(lanes[119], Lane::Rescore);
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_consumer_receives_a_delayed_job_on_time() {
        let queue = MemoryQueue::new(10);
        queue.publish(vec![Job::sample(Lane::Scan)]).await.unwrap();
        let mut consumer = queue.consume(&Lane::ALL, 1).await.unwrap();
        let start = Instant::now();
        consumer
            .next()
            .await
            .unwrap()
            .settle(Disposition::Retry(Duration::from_secs(3600)))
            .await
            .unwrap();
        consumer.next().await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(3600));
        assert!(start.elapsed() < Duration::from_millis(3_600_010));
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn concurrent_publishers_and_consumers_miss_no_wake_up() {
        const EACH: usize = 2000;
        let queue = std::sync::Arc::new(MemoryQueue::new(2));
        let publishers = (0..4).map(|publisher| {
            let queue = std::sync::Arc::clone(&queue);
            tokio::spawn(async move {
                for _ in 0..EACH / 5 {
                    queue.publish(vec![Job::sample(Lane::ALL[publisher % 3]); 5]).await.unwrap();
                }
            })
        });
        let publishers: Vec<_> = publishers.collect();
        let consumers = (0..4).map(|_| {
            let queue = std::sync::Arc::clone(&queue);
            tokio::spawn(async move {
                let mut consumer = queue.consume(&Lane::ALL, 1).await.unwrap();
                let mut done = 0;
                while let Some(delivery) = consumer.next().await {
                    // Every third job is dropped once.
                    if delivery.job().attempt == 1 && delivery.job().id.0.as_bytes()[15] % 3 == 0 {
                        continue;
                    }
                    delivery.settle(Disposition::Done).await.unwrap();
                    done += 1;
                }
                done
            })
        });
        let consumers: Vec<_> = consumers.collect();
        let done = tokio::time::timeout(Duration::from_secs(60), async {
            for publisher in publishers {
                publisher.await.unwrap();
            }
            loop {
                let change = queue.shared.change.notified();
                if queue.shared.state().status() == MemoryState::default().status() {
                    break;
                }
                change.await;
            }
            queue.close().await;
            let mut done = 0;
            for consumer in consumers {
                done += consumer.await.unwrap();
            }
            done
        });
        assert_eq!(done.await.expect("a publisher or consumer was never woken"), 4 * EACH);
    }
}
