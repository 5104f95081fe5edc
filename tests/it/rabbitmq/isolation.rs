//! Isolation of suspected poison jobs, and the broker's delivery limit.

use facefleet::domain::Disposition;
use facefleet::queue::DeadLetterFilter;
use lapin::options::{BasicGetOptions, BasicRejectOptions};

use super::*;
use crate::support::job;

#[tokio::test]
async fn a_job_that_was_requeued_twice_is_processed_with_nothing_else_in_flight() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let killer = job(Lane::Scan, "killer");
    queue.publish(vec![killer.clone()]).await.unwrap();
    let mut consumer = queue.consume(&Lane::ALL, 4).await.unwrap();
    for attempt in 1..=2 {
        let delivery = next(&mut consumer).await;
        assert_eq!((delivery.job().id, delivery.job().attempt), (killer.id, attempt));
    }
    queue
        .publish((0..9).map(|number| job(Lane::Scan, &number.to_string())).collect())
        .await
        .unwrap();
    // Other jobs may come first; isolation waits until they are settled.
    let mut others = 0;
    let isolated = loop {
        let delivery = next(&mut consumer).await;
        if delivery.job().id == killer.id {
            break delivery;
        }
        others += 1;
        assert!(delivery.settle(Disposition::Done).await.unwrap());
    };
    assert_eq!(isolated.job().attempt, 3);
    assert!(nothing_comes(&mut consumer).await, "it is isolated");
    let status = queue.status().await.unwrap();
    assert_eq!(
        status.ready[1],
        (Lane::Scan, 9 - others),
        "prefetched jobs are returned to the broker"
    );
    assert!(isolated.settle(Disposition::Done).await.unwrap());
    for _ in others..9 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job().attempt, 1, "no other job's delivery was counted");
        assert!(delivery.settle(Disposition::Done).await.unwrap());
    }
    broker.remove().await;
}

#[tokio::test]
async fn an_isolated_job_that_is_requeued_is_isolated_again_with_the_attempt_counted() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    queue.publish(vec![job(Lane::Enrol, "killer")]).await.unwrap();
    let mut consumer = queue.consume(&Lane::ALL, 4).await.unwrap();
    for attempt in 1..=6 {
        assert_eq!(next(&mut consumer).await.job().attempt, attempt);
    }
    broker.remove().await;
}

#[tokio::test]
async fn a_closed_consumer_returns_what_it_prefetched() {
    let broker = TestBroker::new();
    let queue: Arc<dyn JobQueue> = Arc::new(broker.queue().await);
    queue
        .publish((0..20).map(|number| job(Lane::Scan, &number.to_string())).collect())
        .await
        .unwrap();
    for _ in 0..4 {
        let going = broker.queue().await;
        let mut consumer = going.consume(&Lane::ALL, 20).await.unwrap();
        drop(next(&mut consumer).await.settle(Disposition::Defer(Duration::from_secs(500))).await);
        going.close().await;
    }
    let mut consumer = queue.consume(&Lane::ALL, 20).await.unwrap();
    for _ in 0..16 {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job().attempt, 1, "a prefetched job was not attempted");
        assert!(delivery.settle(Disposition::Done).await.unwrap());
    }
    broker.remove().await;
}

#[tokio::test]
async fn what_the_broker_dead_letters_has_a_reason() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let killer = job(Lane::Scan, "killer");
    queue.publish(vec![killer.clone()]).await.unwrap();
    let channel = broker.channel().await;
    // A consumer that requeues every message.
    let mut deliveries = 0;
    while queue.status().await.unwrap().dead == 0 {
        if let Some(got) = channel
            .basic_get(format!("{}.scan", broker.prefix).into(), BasicGetOptions::default())
            .await
            .unwrap()
        {
            got.delivery.reject(BasicRejectOptions { requeue: true }).await.unwrap();
            deliveries += 1;
        }
        assert!(deliveries < 100, "the broker never dead-letters it");
    }
    assert!(deliveries > 15, "the limit is 20: {deliveries}");
    let letters = dead(&queue, 1).await;
    assert_eq!(letters[0].job.as_ref().unwrap().id, killer.id);
    assert!(letters[0].reason.contains("the broker's delivery limit"), "{}", letters[0].reason);
    assert!(letters[0].died_at.is_some());
    let selection = DeadLetterFilter { job: Some(killer.id), ..DeadLetterFilter::default() };
    assert_eq!(queue.resolve_dead(&selection, true).await.unwrap(), 1);
    let mut consumer = queue.consume(&Lane::ALL, 1).await.unwrap();
    assert_eq!(next(&mut consumer).await.job().id, killer.id);
    broker.remove().await;
}
