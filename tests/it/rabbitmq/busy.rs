//! Queues that are too busy to answer the broker in time: it then says that they are empty.

use facefleet::domain::{CampaignId, SubQueue, SubQueueOf};
use facefleet::queue::DeadLetterFilter;
use lapin::Channel;

use super::*;
use crate::support::broker::declared;
use crate::support::job;
use crate::support::stack::control;

/// Suspends the processes of these queues for 0.7 s of every 0.73 s, for `seconds`.
fn keep_busy(queues: &[&str], seconds: u64) {
    let names: Vec<String> = queues.iter().map(|queue| format!("'%2F_{queue}'")).collect();
    let rounds = seconds * 1000 / 730;
    let code = format!(
        "[spawn(fun() -> P = whereis(N), [begin erlang:suspend_process(P), timer:sleep(700), \
         erlang:resume_process(P), timer:sleep(30) end || _ <- lists:seq(1, {rounds})] end) || N \
         <- [{}]].",
        names.join(", ")
    );
    control(&["eval", &code]);
}

/// Waits until the broker says that a queue is empty.
async fn until_reported_empty(channel: &Channel, queue: &str) {
    let due = Instant::now() + PATIENCE;
    while declared(channel, queue).await.unwrap().message_count() > 0 {
        assert!(Instant::now() < due, "it answers in time");
    }
}

#[tokio::test]
async fn a_busy_queue_is_not_taken_to_be_empty() {
    const JOBS: usize = 3;
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let sub_queue = SubQueue { lane: Lane::Scan, of: SubQueueOf::Campaign(CampaignId::new()) };
    let jobs = (0..JOBS).map(|at| job(Lane::Scan, &at.to_string())).collect();
    queue.publish_to(&sub_queue, jobs).await.unwrap();
    let mut consumer = queue.consume(&[Lane::Scan], 1).await.unwrap();
    for _ in 0..JOBS {
        send(&broker, "scan", BasicProperties::default(), b"no job").await;
    }
    dead(&queue, JOBS).await;

    let name = format!("{}.{sub_queue}", broker.prefix);
    let letters = format!("{}.dead", broker.prefix);
    keep_busy(&[&name, &letters], 15);
    let channel = broker.channel().await;
    until_reported_empty(&channel, &letters).await;
    until_reported_empty(&channel, &name).await;
    // Each is an error if the queue is busy for too long.
    assert!(!queue.remove_empty(&sub_queue).await.unwrap_or(false));
    assert_eq!(queue.waiting(std::slice::from_ref(&sub_queue)).await.unwrap_or(vec![3]), [3]);
    let all = DeadLetterFilter::default();
    let dropped = queue.resolve_dead(&all, false).await;
    assert_eq!(dropped.unwrap_or(JOBS as u64), JOBS as u64);

    // It is not that nothing can be removed.
    consumer.take_from([sub_queue.clone()].into());
    for _ in 0..JOBS {
        next(&mut consumer).await.settle(facefleet::domain::Disposition::Done).await.unwrap();
    }
    let due = Instant::now() + PATIENCE;
    while !queue.remove_empty(&sub_queue).await.unwrap_or(false) {
        assert!(Instant::now() < due);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    broker.remove().await;
}
