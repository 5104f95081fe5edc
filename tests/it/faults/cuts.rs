//! Connections cut at the worst moments.

use std::time::Duration;

use futures::StreamExt;
use tokio::time::{Instant, sleep, timeout};

use super::{Fleet, PATIENCE, app, names};
use crate::support::broker::{TestBroker, declared};
use crate::support::proxy::{ACK, PUBLISH, Proxy};

/// Waits until a worker consumes: it has tried what it may publish, and publishes no more before a
/// job comes.
async fn consumed(fleet: &Fleet) {
    let url = fleet.stack.queue.parse().unwrap();
    let broker = TestBroker { url, prefix: fleet.prefix.clone() };
    let (channel, scans) = (broker.channel().await, format!("{}.scan", fleet.prefix));
    let give_up = Instant::now() + PATIENCE;
    while declared(&channel, &scans).await.unwrap().consumer_count() == 0 {
        assert!(Instant::now() < give_up, "no worker consumes");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_between_commit_and_event_repeats_the_event_and_not_the_rows() {
    let (fleet, jobs) = Fleet::unpublished(names(1)).await;
    let mut events = fleet.queue.events().await.unwrap();
    let broker = Proxy::to(fleet.stack.queue_address()).await;
    let worker = fleet.worker_through(&broker.through(&fleet.stack.queue), &fleet.store_url);
    consumed(&fleet).await;
    // For a job that succeeds, a worker publishes only its event, after the commit.
    broker.cut_before(PUBLISH);
    fleet.queue.publish(jobs).await.unwrap();
    timeout(PATIENCE, broker.sprung(1)).await.unwrap();
    let event = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    assert_eq!(event.campaign, Some(fleet.campaign.id));
    fleet.ends_well([worker], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_between_event_and_ack_redelivers_the_job_and_changes_nothing() {
    let fleet = Fleet::new(names(1)).await;
    let mut events = fleet.queue.events().await.unwrap();
    let broker = Proxy::to(fleet.stack.queue_address()).await;
    broker.cut_before(ACK);
    let worker = fleet.worker_through(&broker.through(&fleet.stack.queue), &fleet.store_url);
    timeout(PATIENCE, broker.sprung(1)).await.unwrap();
    fleet.ends_well([worker], &[]).await;
    // The same event twice, with the same id: subscribers can drop the duplicate.
    let first = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    let second = timeout(PATIENCE, events.next()).await.unwrap().unwrap();
    assert_eq!((first.job, first.end.outcome), (second.job, second.end.outcome));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_while_jobs_are_published_loses_none() {
    let (fleet, jobs) = Fleet::unpublished(names(3000)).await;
    let broker = Proxy::to(fleet.stack.queue_address()).await;
    let publisher = app(&broker.through(&fleet.stack.queue), &fleet.store_url, &fleet.prefix)
        .queue()
        .await
        .unwrap();
    let (first, rest) = jobs.split_at(500);
    publisher.publish(first.to_vec()).await.unwrap();
    broker.cut_before(PUBLISH);
    let publishing = tokio::spawn({
        let (publisher, rest) = (publisher.clone(), rest.to_vec());
        async move {
            // As a scan does: publish again after a transient error.
            while let Err(error) = publisher.publish(rest.clone()).await {
                assert!(matches!(error, facefleet::queue::QueueError::Unavailable(_)), "{error}");
            }
        }
    });
    timeout(PATIENCE, broker.sprung(1)).await.unwrap();
    broker.cut();
    broker.restore();
    timeout(PATIENCE, publishing).await.unwrap().unwrap();
    let worker = fleet.worker();
    fleet.ends_well([worker], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_to_the_database_lose_nothing() {
    let fleet = Fleet::new(names(1000)).await;
    let database = Proxy::to(fleet.stack.store_address()).await;
    let worker = fleet.worker_through(&fleet.stack.queue, &database.through(&fleet.store_url));
    for share in [50, 300, 600] {
        fleet.until(|progress| progress.ended() >= share).await;
        database.cut();
        database.restore();
    }
    fleet.ends_well([worker], &[]).await;
}
