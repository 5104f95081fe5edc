//! The contract of `JobQueue`, run against both backends. Tests of the capacity and of slow
//! subscribers run in memory only: on a broker, operators set the capacity by policy, and events
//! are buffered.
//!
//! That no delivery is settled twice needs no test: settling consumes the delivery.

mod capacity;
mod dead_letters;
mod events;
mod lanes;
mod settling;
mod sub_queues;

use std::sync::Arc;
use std::time::Duration;

use facefleet::domain::{Disposition, Job, Lane};
use facefleet::queue::memory::MemoryQueue;
use facefleet::queue::{Consumer, Delivery, JobQueue, QueueError, QueueStatus};
use tokio::time::{Instant, timeout};

use self::capacity::*;
use self::dead_letters::*;
use self::events::*;
use self::lanes::*;
use self::settling::*;
use self::sub_queues::*;
use crate::support::broker::TestBroker;
use crate::support::job;

/// The capacity of a queue in memory under test.
const CAPACITY: usize = 100;

/// Everything that is expected happens within this time. On a paused clock, it passes once nothing
/// else can happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// What does not happen within this time is taken not to happen.
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
    // A broker counts with a delay, and does not count unsettled deliveries.
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

pub async fn status_counts_jobs_by_where_they_are(queue: Arc<dyn JobQueue>) {
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

pub async fn a_closed_queue_accepts_and_delivers_nothing(queue: Arc<dyn JobQueue>) {
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

pub async fn deliveries_of_a_closed_queue_can_still_be_settled(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 4)).await.unwrap();
    let mut consumer = consumer(&queue, 4).await;
    let deliveries = [
        next(&mut consumer).await,
        next(&mut consumer).await,
        next(&mut consumer).await,
        next(&mut consumer).await,
    ];
    queue.close().await;
    let [done, retried, dead, dropped] = deliveries;
    settle(done, Disposition::Done).await;
    settle(retried, Disposition::Retry(Duration::ZERO)).await;
    settle(dead, Disposition::Bury("no".into())).await;
    drop(dropped);
    assert!(timeout(PATIENCE, consumer.next()).await.unwrap().is_none());
}

/// Runs every test of the contract with a function that opens a queue.
macro_rules! queue_contract {
    ($backend:ident, start_paused = $paused:tt, $run:path; $($more:ident)*) => {
        queue_contract! { @tests $backend, $paused, $run;
            $($more)*
            jobs_of_a_lane_come_in_order
            enrolments_go_first_and_no_lane_starves
            a_consumer_takes_its_own_lanes_only
            a_job_goes_to_one_consumer
            a_waiting_consumer_receives_a_new_job
            a_wait_for_a_job_can_be_cancelled_without_losing_one
            a_consumer_holds_no_more_than_its_prefetch
            enrolments_have_their_own_slots
            a_job_that_is_done_is_forgotten
            a_dropped_delivery_comes_again_with_the_attempt_counted
            a_delivery_in_a_task_that_panics_comes_again
            a_retry_comes_after_its_time_with_the_attempt_counted
            a_dead_letter_is_listed_with_its_reason
            a_dead_letter_can_be_retried_or_dropped_once
            many_dead_letters_are_resolved_and_none_comes_back
            dead_letters_are_counted_and_resolved_by_reason
            status_counts_jobs_by_where_they_are
            a_closed_queue_accepts_and_delivers_nothing
            deliveries_of_a_closed_queue_can_still_be_settled
            a_sub_queue_is_consumed_only_while_it_is_selected
            a_job_that_is_set_aside_waits_in_its_sub_queue_as_the_same_attempt
            a_dropped_delivery_from_a_sub_queue_comes_again_with_the_attempt_counted
            a_consumer_receives_from_sub_queues_of_its_own_lanes_only
            no_campaign_waits_for_another_to_end
            a_sub_queue_is_removed_with_its_jobs
            a_sub_queue_with_jobs_is_not_removed_as_empty
            a_closed_queue_accepts_nothing_for_a_sub_queue
            every_subscriber_receives_the_events_since_it_subscribed
            events_end_with_the_last_delivery_of_a_closed_queue
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
    a_full_queue_accepts_what_comes_back
    a_publish_that_waits_fails_when_the_queue_closes
    a_slow_subscriber_applies_backpressure
    a_subscriber_that_leaves_is_forgotten
);
queue_contract!(rabbitmq, start_paused = false, super::on_rabbitmq;);
