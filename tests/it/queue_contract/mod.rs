//! What every queue promises. A backend joins with one line at the end. What only a queue with a
//! bound of its own or with readers in its process can promise is tested in memory only: a broker's
//! bounds are its operator's, and its news waits on the broker.
//!
//! That no delivery is settled twice needs no test: settling takes the delivery away.

mod dead_letters;
mod events;
mod places;

use std::sync::Arc;
use std::time::Duration;

use facefleet::domain::{Disposition, Job, Lane};
use facefleet::queue::memory::MemoryQueue;
use facefleet::queue::{Consumer, Delivery, JobQueue, QueueError, QueueStatus};
use tokio::time::{Instant, timeout};

use self::dead_letters::*;
use self::events::*;
use self::places::*;
use crate::support::broker::TestBroker;
use crate::support::job;

/// Jobs that a queue under test holds ready before publishers wait.
const CAPACITY: usize = 100;

/// Nothing that is going to happen takes longer. On a paused clock it passes once nothing else can
/// happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What does not happen within this time does not happen: the other end has long done all it had
/// to.
const QUIET: Duration = Duration::from_secs(1);

/// Longer than any test.
const FOREVER: Duration = Duration::from_secs(500);

fn jobs(lane: Lane, count: usize) -> Vec<Job> {
    (0..count).map(|number| job(lane, &format!("{lane}-{number}"))).collect()
}

async fn next(consumer: &mut Box<dyn Consumer>) -> Delivery {
    timeout(PATIENCE, consumer.next())
        .await
        .expect("a delivery should come")
        .expect("the queue should be open")
}

async fn nothing_comes(consumer: &mut Box<dyn Consumer>) -> bool {
    timeout(QUIET, consumer.next()).await.is_err()
}

async fn settle(delivery: Delivery, disposition: Disposition) {
    assert!(delivery.settle(disposition).await.unwrap(), "the queue had taken the delivery back");
}

async fn consumer(queue: &Arc<dyn JobQueue>, prefetch: usize) -> Box<dyn Consumer> {
    queue.consume(&Lane::ALL, prefetch).await.unwrap()
}

async fn becomes(queue: &Arc<dyn JobQueue>, expected: QueueStatus) {
    let mut status = queue.status().await.unwrap();
    let due = Instant::now() + PATIENCE;
    // A broker counts when it gets to it, and does not count what workers hold.
    while status
        != (QueueStatus {
            unsettled: expected.unsettled.filter(|_| status.unsettled.is_some()),
            ..expected.clone()
        })
    {
        assert!(Instant::now() < due, "{status:?} instead of {expected:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
        status = queue.status().await.unwrap();
    }
}

fn empty() -> QueueStatus {
    QueueStatus {
        ready: Lane::ALL.map(|lane| (lane, 0)).to_vec(),
        unsettled: Some(0),
        ..QueueStatus::default()
    }
}

fn ready(queue: &QueueStatus) -> u64 {
    queue.ready.iter().map(|(_, count)| count).sum()
}

pub async fn jobs_of_a_lane_come_in_order(queue: Arc<dyn JobQueue>) {
    let jobs = jobs(Lane::Scan, 20);
    queue.publish(jobs[..15].to_vec()).await.unwrap();
    queue.publish(jobs[15..].to_vec()).await.unwrap();
    let mut consumer = consumer(&queue, 20).await;
    for job in &jobs {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job(), job);
        settle(delivery, Disposition::Done).await;
    }
}

pub async fn enrolments_go_first_and_no_lane_starves(queue: Arc<dyn JobQueue>) {
    for (lane, count) in [(Lane::Rescore, 10), (Lane::Scan, 10), (Lane::Enrol, 70)] {
        queue.publish(jobs(lane, count)).await.unwrap();
    }
    let mut consumer = consumer(&queue, 1).await;
    let mut lanes = Vec::new();
    for _ in 0..60 {
        let delivery = next(&mut consumer).await;
        lanes.push(delivery.job().lane);
        settle(delivery, Disposition::Done).await;
    }
    let count = |lane| lanes.iter().filter(|&&other| other == lane).count();
    assert_eq!(lanes[0], Lane::Enrol);
    assert!(count(Lane::Enrol) > count(Lane::Scan), "{lanes:?}");
    assert!(count(Lane::Scan) >= count(Lane::Rescore), "{lanes:?}");
    assert!(count(Lane::Rescore) > 0, "{lanes:?}");
}

pub async fn a_consumer_takes_its_own_lanes_only(queue: Arc<dyn JobQueue>) {
    queue
        .publish([jobs(Lane::Enrol, 2), jobs(Lane::Rescore, 2), jobs(Lane::Scan, 2)].concat())
        .await
        .unwrap();
    let mut consumer = queue.consume(&[Lane::Rescore], 10).await.unwrap();
    let deliveries = [next(&mut consumer).await, next(&mut consumer).await];
    assert!(deliveries.iter().all(|delivery| delivery.job().lane == Lane::Rescore));
    assert!(nothing_comes(&mut consumer).await);
}

pub async fn a_job_goes_to_one_consumer(queue: Arc<dyn JobQueue>) {
    let mut consumers = [consumer(&queue, 4).await, consumer(&queue, 4).await];
    let jobs = jobs(Lane::Scan, 8);
    queue.publish(jobs.clone()).await.unwrap();
    let mut deliveries = Vec::new();
    for consumer in &mut consumers {
        for _ in 0..4 {
            deliveries.push(next(consumer).await);
        }
    }
    let mut delivered: Vec<_> = deliveries.iter().map(|delivery| delivery.job().id).collect();
    delivered.sort();
    assert_eq!(delivered, jobs.iter().map(|job| job.id).collect::<Vec<_>>());
}

pub async fn a_waiting_consumer_hears_of_a_new_job(queue: Arc<dyn JobQueue>) {
    let mut waiting = consumer(&queue, 1).await;
    let wait = tokio::spawn(async move { next(&mut waiting).await.job().clone() });
    tokio::task::yield_now().await;
    let jobs = jobs(Lane::Rescore, 1);
    queue.publish(jobs.clone()).await.unwrap();
    assert_eq!(wait.await.unwrap(), jobs[0]);
}

pub async fn a_wait_for_a_job_can_be_given_up_without_losing_one(queue: Arc<dyn JobQueue>) {
    let mut consumer = consumer(&queue, 1).await;
    assert!(futures::poll!(Box::pin(consumer.next())).is_pending());
    queue.publish(jobs(Lane::Scan, 1)).await.unwrap();
    settle(next(&mut consumer).await, Disposition::Done).await;
    assert!(nothing_comes(&mut consumer).await);
}

pub async fn publishers_wait_while_the_queue_is_full(queue: Arc<dyn JobQueue>) {
    let jobs = jobs(Lane::Scan, CAPACITY + 20);
    let mut publisher = {
        let (queue, jobs) = (Arc::clone(&queue), jobs.clone());
        tokio::spawn(async move { queue.publish(jobs).await })
    };
    assert!(timeout(PATIENCE, &mut publisher).await.is_err(), "the publisher should wait");
    assert!(ready(&queue.status().await.unwrap()) <= CAPACITY as u64);

    let mut consumer = consumer(&queue, 1).await;
    for job in &jobs {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job(), job);
        settle(delivery, Disposition::Done).await;
    }
    timeout(PATIENCE, publisher).await.expect("there is room for all").unwrap().unwrap();
}

pub async fn every_waiting_publisher_gets_its_turn(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, CAPACITY)).await.unwrap();
    let publishers: Vec<_> = (0..5)
        .map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.publish(jobs(Lane::Enrol, 3)).await })
        })
        .collect();
    let mut consumer = consumer(&queue, 1).await;
    for _ in 0..CAPACITY + 15 {
        settle(next(&mut consumer).await, Disposition::Done).await;
    }
    for publisher in publishers {
        timeout(PATIENCE, publisher).await.expect("there is room for all").unwrap().unwrap();
    }
    assert!(nothing_comes(&mut consumer).await);
}

pub async fn a_consumer_holds_no_more_than_its_prefetch(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 10)).await.unwrap();
    let mut first = consumer(&queue, 3).await;
    let mut held = vec![next(&mut first).await, next(&mut first).await, next(&mut first).await];
    assert!(nothing_comes(&mut first).await);

    let mut second = consumer(&queue, 1).await;
    let other = next(&mut second).await;
    for ending in [Some(Disposition::Done), Some(Disposition::Retry(FOREVER)), None] {
        let delivery = held.remove(0);
        match ending {
            Some(disposition) => settle(delivery, disposition).await,
            None => drop(delivery),
        }
        held.push(next(&mut first).await);
        assert!(nothing_comes(&mut first).await);
    }
    settle(other, Disposition::Done).await;
}

pub async fn enrolments_have_places_of_their_own(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 4)).await.unwrap();
    let mut consumer = consumer(&queue, 2).await;
    let scans = [next(&mut consumer).await, next(&mut consumer).await];
    assert!(nothing_comes(&mut consumer).await);
    queue.publish(jobs(Lane::Enrol, 4)).await.unwrap();
    let enrolments = [next(&mut consumer).await, next(&mut consumer).await];
    assert_eq!(enrolments.each_ref().map(|delivery| delivery.job().lane), [Lane::Enrol; 2]);
    assert!(nothing_comes(&mut consumer).await);
    for (freed, lane) in
        enrolments.into_iter().zip([Lane::Enrol; 2]).chain(scans.into_iter().zip([Lane::Scan; 2]))
    {
        settle(freed, Disposition::Done).await;
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job().lane, lane);
        settle(delivery, Disposition::Done).await;
    }
    assert!(nothing_comes(&mut consumer).await);
}

pub async fn a_job_that_is_done_is_forgotten(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 1)).await.unwrap();
    let mut consumer = consumer(&queue, 10).await;
    settle(next(&mut consumer).await, Disposition::Done).await;
    assert!(nothing_comes(&mut consumer).await);
    becomes(&queue, empty()).await;
}

pub async fn a_dropped_delivery_comes_again_with_the_attempt_counted(queue: Arc<dyn JobQueue>) {
    let jobs = jobs(Lane::Enrol, 1);
    queue.publish(jobs.clone()).await.unwrap();
    let mut consumer = consumer(&queue, 1).await;
    for attempt in 1..=3 {
        let delivery = next(&mut consumer).await;
        assert_eq!(*delivery.job(), Job { attempt, ..jobs[0].clone() });
    }
}

pub async fn a_delivery_in_a_task_that_panics_comes_again(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 1)).await.unwrap();
    let mut consumer = consumer(&queue, 1).await;
    let delivery = next(&mut consumer).await;
    let worker = tokio::spawn(async move {
        let _held = delivery;
        panic!("on purpose");
    });
    assert!(worker.await.is_err());
    assert_eq!(next(&mut consumer).await.job().attempt, 2);
}

pub async fn a_retry_comes_after_its_time_with_the_attempt_counted(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 3)).await.unwrap();
    let mut consumer = consumer(&queue, 10).await;
    let start = Instant::now();
    let waits =
        [Duration::from_millis(1500), Duration::from_millis(500), Duration::from_millis(1000)];
    for wait in waits {
        settle(next(&mut consumer).await, Disposition::Retry(wait)).await;
    }
    becomes(&queue, QueueStatus { delayed: 3, ..empty() }).await;
    for (name, wait) in [("scan-1", waits[1]), ("scan-2", waits[2]), ("scan-0", waits[0])] {
        let delivery = next(&mut consumer).await;
        assert!(start.elapsed() >= wait, "{name} came after {:?}", start.elapsed());
        assert!(delivery.job().image.as_str().contains(name));
        assert_eq!(delivery.job().attempt, 2);
        settle(delivery, Disposition::Done).await;
    }
    becomes(&queue, empty()).await;
}

pub async fn a_full_queue_keeps_no_retry_waiting(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 3)).await.unwrap();
    let mut consumer = consumer(&queue, 3).await;
    let [retried, dropped, buried] =
        [next(&mut consumer).await, next(&mut consumer).await, next(&mut consumer).await];
    let dead = of_job(buried.job());
    queue.publish(jobs(Lane::Rescore, CAPACITY)).await.unwrap();

    timeout(PATIENCE, settle(retried, Disposition::Retry(Duration::ZERO))).await.unwrap();
    drop(dropped);
    timeout(PATIENCE, settle(buried, Disposition::Bury("no".into()))).await.unwrap();
    assert_eq!(timeout(PATIENCE, queue.resolve_dead(&dead, true)).await.unwrap().unwrap(), 1);
    let mut scans = queue.consume(&[Lane::Scan], 3).await.unwrap();
    let _back = [next(&mut scans).await, next(&mut scans).await, next(&mut scans).await];
}

pub async fn status_says_how_many_jobs_are_where(queue: Arc<dyn JobQueue>) {
    queue
        .publish([jobs(Lane::Enrol, 1), jobs(Lane::Scan, 5), jobs(Lane::Rescore, 7)].concat())
        .await
        .unwrap();
    let mut scans = queue.consume(&[Lane::Scan], 1).await.unwrap();
    settle(next(&mut scans).await, Disposition::Retry(FOREVER)).await;
    settle(next(&mut scans).await, Disposition::Bury("no".into())).await;
    settle(next(&mut scans).await, Disposition::Done).await;
    let _held = next(&mut scans).await;
    let ready = vec![(Lane::Enrol, 1), (Lane::Scan, 1), (Lane::Rescore, 7)];
    becomes(&queue, QueueStatus { ready, waiting: 0, delayed: 1, unsettled: Some(1), dead: 1 })
        .await;
}

pub async fn a_publish_that_waits_fails_when_the_queue_closes(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, CAPACITY)).await.unwrap();
    let publishers: Vec<_> = (0..3)
        .map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.publish(jobs(Lane::Scan, 1)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    queue.close().await;
    for publisher in publishers {
        let refused =
            timeout(PATIENCE, publisher).await.expect("a pending publish should fail").unwrap();
        assert!(matches!(refused, Err(QueueError::Closed)));
    }
}

pub async fn a_closed_queue_lets_nothing_in_or_out(queue: Arc<dyn JobQueue>) {
    let mut consumer = consumer(&queue, 2).await;
    queue.publish(jobs(Lane::Scan, CAPACITY)).await.unwrap();
    let mut waiting = queue.consume(&[Lane::Rescore], 1).await.unwrap();
    let waiting = tokio::spawn(async move { waiting.next().await.is_none() });
    tokio::task::yield_now().await;

    queue.close().await;
    queue.close().await;
    assert!(timeout(PATIENCE, waiting).await.expect("a waiting consumer should end").unwrap());
    assert!(timeout(PATIENCE, consumer.next()).await.unwrap().is_none());
    assert!(matches!(queue.publish(jobs(Lane::Scan, 1)).await, Err(QueueError::Closed)));
    assert!(matches!(queue.consume(&Lane::ALL, 1).await, Err(QueueError::Closed)));
}

pub async fn what_is_out_when_the_queue_closes_can_still_be_settled(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 4)).await.unwrap();
    let mut consumer = consumer(&queue, 4).await;
    let deliveries = [
        next(&mut consumer).await,
        next(&mut consumer).await,
        next(&mut consumer).await,
        next(&mut consumer).await,
    ];
    queue.close().await;
    let [done, retried, buried, dropped] = deliveries;
    settle(done, Disposition::Done).await;
    settle(retried, Disposition::Retry(Duration::ZERO)).await;
    settle(buried, Disposition::Bury("no".into())).await;
    drop(dropped);
    assert!(timeout(PATIENCE, consumer.next()).await.unwrap().is_none());
}

/// Every test above and of the modules, run by a function that opens a queue for one.
macro_rules! queue_contract {
    ($backend:ident, start_paused = $paused:tt, $run:path; $($more:ident)*) => {
        queue_contract! { @tests $backend, $paused, $run;
            $($more)*
            jobs_of_a_lane_come_in_order
            enrolments_go_first_and_no_lane_starves
            a_consumer_takes_its_own_lanes_only
            a_job_goes_to_one_consumer
            a_waiting_consumer_hears_of_a_new_job
            a_wait_for_a_job_can_be_given_up_without_losing_one
            a_consumer_holds_no_more_than_its_prefetch
            enrolments_have_places_of_their_own
            a_job_that_is_done_is_forgotten
            a_dropped_delivery_comes_again_with_the_attempt_counted
            a_delivery_in_a_task_that_panics_comes_again
            a_retry_comes_after_its_time_with_the_attempt_counted
            a_buried_job_is_listed_with_its_reason
            a_dead_letter_can_be_retried_or_dropped_once
            dead_letters_are_counted_and_resolved_by_reason
            status_says_how_many_jobs_are_where
            a_closed_queue_lets_nothing_in_or_out
            what_is_out_when_the_queue_closes_can_still_be_settled
            a_place_is_taken_from_only_while_that_is_wanted
            a_job_that_is_held_waits_at_its_place_as_if_it_had_not_been_delivered
            a_dropped_delivery_of_a_place_comes_again_from_there
            a_consumer_takes_from_places_of_its_own_lanes_only
            no_campaign_waits_for_another_to_end
            a_place_that_is_removed_is_gone_with_its_jobs
            a_closed_queue_takes_nothing_for_a_place
            news_reaches_every_reader_from_when_it_came
            the_news_ends_with_the_last_delivery_of_a_closed_queue
        }
    };
    (@tests $backend:ident, $paused:tt, $run:path; $($test:ident)*) => {
        mod $backend {
            $(
                #[tokio::test(start_paused = $paused)]
                async fn $test() {
                    $run(super::$test).await;
                }
            )*
        }
    };
}

async fn in_memory(test: impl AsyncFnOnce(Arc<dyn JobQueue>)) {
    test(Arc::new(MemoryQueue::new(CAPACITY))).await;
}

async fn on_rabbitmq(test: impl AsyncFnOnce(Arc<dyn JobQueue>)) {
    let broker = TestBroker::new();
    test(Arc::new(broker.queue().await)).await;
    broker.remove().await;
}

queue_contract!(memory, start_paused = true, super::in_memory;
    publishers_wait_while_the_queue_is_full
    every_waiting_publisher_gets_its_turn
    a_full_queue_keeps_no_retry_waiting
    a_publish_that_waits_fails_when_the_queue_closes
    a_slow_reader_slows_the_announcers
    a_reader_that_leaves_is_forgotten
);
queue_contract!(rabbitmq, start_paused = false, super::on_rabbitmq;);
