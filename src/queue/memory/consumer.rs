//! Taking jobs out, and what becomes of them: lane weights, prefetch, settlement.

use std::collections::BTreeSet;
use std::future::ready;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::sleep_until;

use super::Shared;
use super::state::State;
use crate::domain::{Disposition, Job, Lane, SubQueue};
use crate::queue::{Consumer, Delivery, Held, QueueError, Settle, weight};

/// One consumer.
pub(super) struct MemoryConsumer {
    hold: Arc<Hold>,
    prefetch: usize,
    /// The lanes, the most urgent first, each with the deliveries left to it in this turn. A turn
    /// ends when no lane with deliveries left has jobs. Each consumer counts its own turns:
    /// another's lanes do not disturb them.
    lanes: Vec<(Lane, u32)>,
    /// From where it takes beside its lanes.
    places: BTreeSet<SubQueue>,
    /// Deliveries so far: lanes and places take turns by it.
    turn: usize,
}

impl MemoryConsumer {
    pub(super) fn new(shared: Arc<Shared>, lanes: &[Lane], prefetch: usize) -> Self {
        let lanes = Lane::ALL
            .into_iter()
            .filter(|lane| lanes.contains(lane))
            .map(|lane| (lane, weight(lane)))
            .collect();
        Self {
            hold: Arc::new(Hold { shared, held: Mutex::default() }),
            prefetch,
            lanes,
            places: BTreeSet::new(),
            turn: 0,
        }
    }

    fn take(&mut self, state: &mut State) -> Option<Job> {
        self.take_in_turn(state).or_else(|| {
            self.lanes.iter_mut().for_each(|(lane, left)| *left = weight(*lane));
            self.take_in_turn(state)
        })
    }

    fn take_in_turn(&mut self, state: &mut State) -> Option<Job> {
        let mut held = self.hold.held();
        self.lanes.iter_mut().filter(|(_, left)| *left > 0).find_map(|(lane, left)| {
            let beside = held.beside(*lane);
            if *beside >= self.prefetch {
                return None;
            }
            let job = state.deliver(*lane, &self.places, self.turn)?;
            *beside += 1;
            *left -= 1;
            self.turn = self.turn.wrapping_add(1);
            Some(job)
        })
    }
}

#[async_trait]
impl Consumer for MemoryConsumer {
    async fn next(&mut self) -> Option<Delivery> {
        let hold = Arc::clone(&self.hold);
        loop {
            // Made before the look at the state: it hears of every change from here on, waited for
            // or not.
            let change = pin!(hold.shared.change.notified());
            let next_due = {
                let mut state = hold.shared.state();
                if state.closed {
                    return None;
                }
                state.promote_due();
                if let Some(job) = self.take(&mut state) {
                    if state.published() < hold.shared.capacity {
                        hold.shared.room.notify_one();
                    }
                    return Some(Delivery::new(job, hold.clone()));
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

    fn take_from(&mut self, places: BTreeSet<SubQueue>) {
        self.hold.shared.state().take_from(&places);
        self.places = places;
    }
}

/// The queue's end of one consumer's deliveries.
struct Hold {
    shared: Arc<Shared>,
    /// Changed only under the queue's lock, which orders it.
    held: Mutex<Held>,
}

impl Hold {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends a delivery of `lane`; `rest` says where its job goes.
    fn end(&self, lane: Lane, rest: impl FnOnce(&mut State)) {
        {
            let mut state = self.shared.state();
            rest(&mut state);
            *self.held().beside(lane) -= 1;
            state.end_delivery();
        }
        self.shared.change.notify_waiters();
    }
}

fn next_attempt(job: Job) -> Job {
    Job { attempt: job.attempt.saturating_add(1), ..job }
}

impl Settle for Hold {
    // Done before the future is polled: dropping it changes nothing.
    fn settle(
        &self,
        job: Job,
        disposition: Disposition,
    ) -> BoxFuture<'static, Result<bool, QueueError>> {
        self.end(job.lane, |state| match disposition {
            Disposition::Done => state.forget(job.id),
            Disposition::Retry(wait) => state.delay(next_attempt(job), wait),
            Disposition::Defer(wait) => state.delay(job, wait),
            Disposition::SetAside(place) => state.push_at(&place, job),
            Disposition::Bury(reason) => state.bury(job, reason),
        });
        ready(Ok(true)).boxed()
    }

    // Behind the others of its lane, at once: a job that panics its worker must not keep them
    // waiting.
    fn abandon(&self, job: Job) {
        self.end(job.lane, |state| state.push(next_attempt(job)));
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::domain::{JobId, JobSelection};
    use crate::queue::JobQueue;
    use crate::queue::memory::MemoryQueue;

    fn job(lane: Lane) -> Job {
        Job {
            id: JobId::new(),
            lane,
            gallery: "g".parse().unwrap(),
            image: "file:///a.jpg".parse().unwrap(),
            stamp: None,
            expected_hash: None,
            subject: None,
            selection: JobSelection::default(),
            profile: None,
            campaign: None,
            trace: None,
            attempt: 1,
        }
    }

    #[tokio::test]
    async fn busy_lanes_share_by_weight_and_idle_ones_cost_nothing() {
        let queue = MemoryQueue::new(200);
        for lane in Lane::ALL {
            queue.publish(vec![job(lane); 40]).await.unwrap();
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
    async fn a_delayed_job_comes_on_time_to_whoever_waits() {
        let queue = MemoryQueue::new(10);
        queue.publish(vec![job(Lane::Scan)]).await.unwrap();
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
    async fn many_publishers_and_consumers_on_many_threads_miss_no_wake_up() {
        const EACH: usize = 2000;
        let queue = std::sync::Arc::new(MemoryQueue::new(2));
        let publishers = (0..4).map(|publisher| {
            let queue = std::sync::Arc::clone(&queue);
            tokio::spawn(async move {
                for _ in 0..EACH / 5 {
                    queue.publish(vec![job(Lane::ALL[publisher % 3]); 5]).await.unwrap();
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
                if queue.shared.state().status() == State::default().status() {
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
        assert_eq!(done.await.expect("somebody was never woken"), 4 * EACH);
    }
}
