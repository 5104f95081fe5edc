//! Events about outcomes.

use facefleet::domain::OutcomeEvent;
use futures::StreamExt;
use futures::stream::BoxStream;

use super::*;
use crate::support::{event, scored};

fn events(count: usize) -> Vec<OutcomeEvent> {
    (0..count).map(|number| event(&scored(&number.to_string(), &[50]))).collect()
}

async fn read(stream: &mut BoxStream<'static, OutcomeEvent>, count: usize) -> Vec<OutcomeEvent> {
    timeout(PATIENCE, stream.take(count).collect()).await.expect("the events should come")
}

pub async fn every_subscriber_receives_the_events_since_it_subscribed(queue: Arc<dyn JobQueue>) {
    let events = events(6);
    queue.announce(&events[..1]).await.unwrap();
    let mut early = queue.events().await.unwrap();
    queue.announce(&events[1..3]).await.unwrap();
    let mut late = queue.events().await.unwrap();
    queue.announce(&events[3..]).await.unwrap();
    assert_eq!(read(&mut early, 5).await, events[1..]);
    assert_eq!(read(&mut late, 3).await, events[3..]);
}

pub async fn a_slow_subscriber_applies_backpressure(queue: Arc<dyn JobQueue>) {
    let mut stream = queue.events().await.unwrap();
    let events = events(2000);
    let mut announcer = {
        let (queue, events) = (Arc::clone(&queue), events.clone());
        tokio::spawn(async move { queue.announce(&events).await })
    };
    assert!(timeout(PATIENCE, &mut announcer).await.is_err(), "the announcer should wait");
    assert_eq!(read(&mut stream, events.len()).await, events, "and no event should be lost");
    timeout(PATIENCE, announcer).await.expect("all was read").unwrap().unwrap();
}

pub async fn a_subscriber_that_leaves_is_forgotten(queue: Arc<dyn JobQueue>) {
    let slow = queue.events().await.unwrap();
    drop(queue.events().await.unwrap());
    let events = events(2000);
    let mut announcer = {
        let (queue, events) = (Arc::clone(&queue), events.clone());
        tokio::spawn(async move { queue.announce(&events).await })
    };
    assert!(timeout(PATIENCE, &mut announcer).await.is_err(), "the announcer should wait");
    drop(slow);
    timeout(PATIENCE, announcer).await.expect("no subscriber is left").unwrap().unwrap();
    timeout(PATIENCE, queue.announce(&events)).await.unwrap().unwrap();
}

pub async fn events_end_with_the_last_delivery_of_a_closed_queue(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 2)).await.unwrap();
    let mut consumer = consumer(&queue, 2).await;
    let (first, second) = (next(&mut consumer).await, next(&mut consumer).await);
    let mut stream = queue.events().await.unwrap();
    let events = events(2);

    queue.close().await;
    queue.announce(&events[..1]).await.unwrap();
    settle(first, Disposition::Done).await;
    queue.announce(&events[1..]).await.unwrap();
    settle(second, Disposition::Done).await;

    assert_eq!(read(&mut stream, 2).await, events);
    assert!(timeout(PATIENCE, stream.next()).await.expect("the events should end").is_none());
    assert!(matches!(queue.announce(&events).await, Err(QueueError::Closed)));
    assert!(matches!(queue.events().await, Err(QueueError::Closed)));
}
