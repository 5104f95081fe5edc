//! Connections that are cut, and queues that are missing or full.

use std::collections::HashSet;

use facefleet::domain::{Disposition, Job};
use facefleet::queue::rabbitmq::{RabbitQueue, RabbitSettings};
use lapin::Channel;
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions, QueuePurgeOptions};
use lapin::types::{AMQPValue, FieldTable};

use super::*;
use crate::support::job;
use crate::support::proxy::{ACK, PUBLISH, Proxy};

/// A queue whose connections go through a proxy, and detect within seconds that it is stalled.
async fn proxy(broker: &TestBroker) -> (Proxy, RabbitQueue) {
    let address = format!("127.0.0.1:{}", broker.url.port().unwrap()).parse().unwrap();
    let proxy = Proxy::to(address).await;
    let settings = RabbitSettings {
        url: format!("{}?heartbeat=2", proxy.through(broker.url.as_str())).into(),
        ..broker.settings()
    };
    let queue = RabbitQueue::connect(&settings).await.unwrap();
    (proxy, queue)
}

fn jobs(count: usize) -> Vec<Job> {
    (0..count).map(|number| job(Lane::Scan, &number.to_string())).collect()
}

/// Receives and settles until all of `jobs` have come. Some may come twice.
async fn all_come(consumer: &mut Box<dyn Consumer>, jobs: &[Job]) {
    let wanted: HashSet<_> = jobs.iter().map(|job| job.id).collect();
    let mut arrived = HashSet::new();
    while arrived.len() < wanted.len() {
        let delivery = next(consumer).await;
        assert!(wanted.contains(&delivery.job().id));
        arrived.insert(delivery.job().id);
        assert!(delivery.settle(Disposition::Done).await.unwrap());
    }
}

/// Publishes to the dead letters until their queue refuses more.
async fn fill(channel: &Channel, dead: &str) {
    channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
    loop {
        let (options, properties) = (BasicPublishOptions::default(), BasicProperties::default());
        let sent = channel.basic_publish(dead.into(), "".into(), options, b"", properties);
        if !sent.await.unwrap().await.unwrap().is_ack() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_is_cut_again_and_again_loses_no_job() {
    let broker = TestBroker::new();
    let (proxy, queue) = proxy(&broker).await;
    let jobs = jobs(10_000);
    proxy.cut_before(PUBLISH);
    let publishing = tokio::spawn({
        let jobs = jobs.clone();
        async move { queue.publish(jobs).await }
    });
    timeout(PATIENCE, proxy.sprung(1)).await.expect("no connection was cut");
    for cuts in 2..=3 {
        proxy.cut_before(PUBLISH);
        // The publish may be complete before the third cut.
        if timeout(QUIET * 3, proxy.sprung(cuts)).await.is_err() {
            break;
        }
    }
    timeout(PATIENCE, publishing).await.expect("it should go on by itself").unwrap().unwrap();
    let queue = broker.queue().await;
    let mut consumer = queue.consume(&Lane::ALL, 500).await.unwrap();
    all_come(&mut consumer, &jobs).await;
    broker.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_without_replies_is_replaced() {
    let broker = TestBroker::new();
    let (proxy, queue) = proxy(&broker).await;
    let jobs = jobs(100);
    let mut consumer = queue.consume(&Lane::ALL, 200).await.unwrap();
    proxy.stall();
    timeout(PATIENCE, queue.publish(jobs.clone()))
        .await
        .expect("it should go on by itself")
        .unwrap();
    all_come(&mut consumer, &jobs).await;
    broker.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unsettled_deliveries_of_a_cut_connection_come_again_and_settle_as_lost() {
    let broker = TestBroker::new();
    let (proxy, queue) = proxy(&broker).await;
    queue.publish(jobs(3)).await.unwrap();
    let mut consumer = queue.consume(&Lane::ALL, 6).await.unwrap();
    let held = [next(&mut consumer).await, next(&mut consumer).await, next(&mut consumer).await];
    proxy.cut();
    proxy.restore();
    // The next delivery is of the new connection: the old one is known to be lost.
    let first = next(&mut consumer).await;
    for (number, delivery) in held.into_iter().enumerate() {
        let disposition =
            if number == 1 { Disposition::Retry(Duration::ZERO) } else { Disposition::Done };
        assert!(!delivery.settle(disposition).await.unwrap(), "the broker had requeued it");
    }
    assert_eq!(first.job().attempt, 2);
    let rest = [next(&mut consumer).await, next(&mut consumer).await];
    for delivery in [first].into_iter().chain(rest) {
        assert!(delivery.settle(Disposition::Done).await.unwrap());
    }
    assert!(nothing_comes(&mut consumer).await);
    assert_eq!(queue.status().await.unwrap().delayed, 0);
    broker.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_between_the_retry_and_the_ack_leaves_both_and_loses_none() {
    let broker = TestBroker::new();
    let (proxy, queue) = proxy(&broker).await;
    let jobs = jobs(1);
    queue.publish(jobs.clone()).await.unwrap();
    let mut consumer = queue.consume(&Lane::ALL, 2).await.unwrap();
    let delivery = next(&mut consumer).await;
    proxy.cut_before(ACK);
    // Whether the ack was written before the cut is unknown; the job is on the broker twice.
    delivery.settle(Disposition::Retry(Duration::ZERO)).await.unwrap();
    proxy.sprung(1).await;
    for _ in 0..2 {
        let delivery = next(&mut consumer).await;
        assert_eq!((delivery.job().id, delivery.job().attempt), (jobs[0].id, 2));
        assert!(delivery.settle(Disposition::Done).await.unwrap());
    }
    assert!(nothing_comes(&mut consumer).await);
    broker.remove().await;
}

#[tokio::test]
async fn a_dead_letter_queue_that_was_deleted_is_declared_again_before_a_job_is_lost() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    queue.publish(jobs(1)).await.unwrap();
    let delivery = next(&mut queue.consume(&Lane::ALL, 1).await.unwrap()).await;
    broker
        .channel()
        .await
        .queue_delete(format!("{}.dead", broker.prefix).into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    assert!(
        timeout(PATIENCE, delivery.settle(Disposition::Bury("no".into()))).await.unwrap().unwrap()
    );
    assert_eq!(dead(&queue, 1).await[0].reason, "no");
    broker.remove().await;
}

#[tokio::test]
async fn a_full_dead_letter_queue_makes_workers_wait_and_loses_nothing() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    queue.publish(jobs(1)).await.unwrap();
    let mut consumer = queue.consume(&Lane::ALL, 1).await.unwrap();
    let delivery = next(&mut consumer).await;
    // Like a policy, without the permission to set one.
    let (name, channel) = (format!("{}.dead", broker.prefix), broker.channel().await);
    channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
    let mut bounded = FieldTable::default();
    for (key, value) in [("x-queue-type", "quorum"), ("x-overflow", "reject-publish")] {
        bounded.insert(key.into(), AMQPValue::LongString(value.into()));
    }
    bounded.insert("x-max-length".into(), AMQPValue::LongInt(1));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(name.as_str().into(), durable, bounded).await.unwrap();
    channel
        .queue_bind(
            name.as_str().into(),
            name.as_str().into(),
            "".into(),
            Default::default(),
            FieldTable::default(),
        )
        .await
        .unwrap();

    // A quorum queue accepts a few messages more than its maximum.
    timeout(PATIENCE, fill(&channel, &name)).await.expect("it should be full");
    let id = delivery.job().id;
    let mut settling = tokio::spawn(delivery.settle(Disposition::Bury("no".into())));
    assert!(timeout(QUIET, &mut settling).await.is_err(), "there is no room");
    channel.queue_purge(name.as_str().into(), QueuePurgeOptions::default()).await.unwrap();
    assert!(timeout(PATIENCE, settling).await.expect("there is room").unwrap().unwrap());
    let letters = dead(&queue, 1).await;
    assert_eq!(letters[0].job.as_ref().unwrap().id, id);
    broker.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_announcements_resume_after_a_cut() {
    let broker = TestBroker::new();
    let (proxy, queue) = proxy(&broker).await;
    let queue = Arc::new(queue);
    let mut events = queue.events().await.unwrap();
    proxy.cut();
    proxy.restore();
    let event = crate::support::event(&crate::support::scored("a", &[50]));
    let received = timeout(PATIENCE, async {
        loop {
            // Announced until the subscriber has reconnected; events before that may be missed.
            queue.announce(std::slice::from_ref(&event)).await.unwrap();
            if let Ok(Some(event)) = timeout(QUIET, futures::StreamExt::next(&mut events)).await {
                return event;
            }
        }
    });
    assert_eq!(received.await.expect("the events should resume"), event);
    broker.remove().await;
}
