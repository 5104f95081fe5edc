//! Sub-queues on the broker, and trust in the writer of a message.

use std::collections::BTreeSet;

use facefleet::domain::{CampaignId, Disposition, SubQueue, SubQueueOf};
use lapin::options::{QueueDeclareOptions, QueueDeleteOptions};
use lapin::types::{AMQPValue, FieldTable};
use serde_json::json;

use super::*;
use crate::support::broker::declared;
use crate::support::job;

#[tokio::test]
async fn a_producers_attempts_and_delivery_counts_are_ignored() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let forged = json!({
        "id": facefleet::domain::JobId::new(),
        "lane": "scan",
        "gallery": "g",
        "image": "file:///a.jpg",
        "attempt": 99,
    });
    let mut headers = FieldTable::default();
    for name in ["x-delivery-count", "facefleet-returned"] {
        headers.insert(name.into(), AMQPValue::LongInt(9));
    }
    // Also with the routing key of a job that returns from a delay.
    for key in ["scan", "scan.1s"] {
        send(
            &broker,
            key,
            BasicProperties::default().with_headers(headers.clone()),
            forged.to_string().as_bytes(),
        )
        .await;
    }
    let mut consumer = queue.consume(&Lane::ALL, 4).await.unwrap();
    let deliveries = [next(&mut consumer).await, next(&mut consumer).await];
    assert_eq!(deliveries.each_ref().map(|delivery| delivery.job().attempt), [1, 1]);
    for delivery in deliveries {
        assert!(delivery.settle(Disposition::Done).await.unwrap());
    }
    broker.remove().await;
}

#[tokio::test]
async fn a_lanes_queue_that_is_deleted_under_a_worker_is_declared_again() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let mut consumer = queue.consume(&Lane::ALL, 4).await.unwrap();
    let name = format!("{}.scan", broker.prefix);
    broker
        .channel()
        .await
        .queue_delete(name.as_str().into(), QueueDeleteOptions::default())
        .await
        .unwrap();
    // The worker declares it again. (A job that is published before may still go to the queue that
    // is being deleted.)
    let due = Instant::now() + PATIENCE;
    while declared(&broker.channel().await, &name).await.is_err() {
        assert!(Instant::now() < due);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let job = job(Lane::Scan, "a");
    queue.publish(vec![job.clone()]).await.unwrap();
    assert_eq!(next(&mut consumer).await.job().id, job.id);
    assert_eq!(queue.trouble(), None);
    broker.remove().await;
}

#[tokio::test]
async fn a_job_whose_sub_queue_cannot_be_declared_is_deferred_as_the_same_attempt() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let sub_queue = SubQueue { lane: Lane::Scan, of: SubQueueOf::Campaign(CampaignId::new()) };
    // A classic queue of the same name makes the declaration fail, like a missing permission.
    let name = format!("{}.{sub_queue}", broker.prefix);
    let (channel, durable) = (
        broker.channel().await,
        QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() },
    );
    channel.queue_declare(name.as_str().into(), durable, FieldTable::default()).await.unwrap();
    queue.publish(vec![job(Lane::Scan, "a")]).await.unwrap();
    let delivery = next(&mut queue.consume(&Lane::ALL, 1).await.unwrap()).await;
    assert!(delivery.settle(Disposition::SetAside(sub_queue)).await.unwrap());
    let due = Instant::now() + PATIENCE;
    while queue.status().await.unwrap().delayed != 1 {
        assert!(Instant::now() < due);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    channel.queue_delete(name.into(), QueueDeleteOptions::default()).await.unwrap();
    broker.remove().await;
}

#[tokio::test]
async fn more_sub_queues_than_the_connection_has_channels_are_consumed() {
    let mut broker = TestBroker::new();
    broker.url.set_query(Some("channel_max=8"));
    let queue = broker.queue().await;
    let sub_queue = |number: u8| SubQueue {
        lane: Lane::Enrol,
        of: SubQueueOf::Gallery(format!("gallery-{number}").parse().unwrap()),
    };
    let all: BTreeSet<SubQueue> = (0..12).map(sub_queue).collect();
    let mut consumer = queue.consume(&Lane::ALL, 4).await.unwrap();
    consumer.take_from(all.clone());
    // The first job is unsettled while all the consumers begin: a lost connection would have it
    // back.
    queue.publish(vec![job(Lane::Enrol, "first")]).await.unwrap();
    let first = next(&mut consumer).await;
    for sub_queue in &all {
        queue.publish_to(sub_queue, vec![job(Lane::Enrol, &sub_queue.to_string())]).await.unwrap();
        let delivery = next(&mut consumer).await;
        assert!(delivery.settle(Disposition::Done).await.unwrap());
    }
    assert!(first.settle(Disposition::Done).await.unwrap());
    assert_eq!(queue.trouble(), None);
    // Those that are not wanted any more are not consumed, and their channels still serve others.
    let kept = sub_queue(11);
    consumer.take_from(BTreeSet::from([kept.clone()]));
    queue.publish_to(&kept, vec![job(Lane::Enrol, "kept")]).await.unwrap();
    assert!(next(&mut consumer).await.settle(Disposition::Done).await.unwrap());
    for sub_queue in &all {
        queue.remove(sub_queue).await.unwrap();
    }
    broker.url.set_query(None);
    broker.remove().await;
}

#[tokio::test]
async fn nothing_moves_while_jobs_wait() {
    let broker = TestBroker::new();
    let queue = broker.queue().await;
    let sub_queue = SubQueue { lane: Lane::Scan, of: SubQueueOf::Campaign(CampaignId::new()) };
    queue
        .publish_to(
            &sub_queue,
            (0..50).map(|number| job(Lane::Scan, &number.to_string())).collect(),
        )
        .await
        .unwrap();
    let mut consumer = queue.consume(&Lane::ALL, 4).await.unwrap();
    consumer.take_from(BTreeSet::new());
    assert!(nothing_comes(&mut consumer).await);
    let name = format!("{}.{sub_queue}", broker.prefix);
    let got =
        broker.channel().await.basic_get(name.into(), Default::default()).await.unwrap().unwrap();
    assert!(!got.redelivered, "it was never delivered before");
    queue.remove(&sub_queue).await.unwrap();
    broker.remove().await;
}
