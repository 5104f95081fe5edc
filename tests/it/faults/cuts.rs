//! Connections cut at the worst moments.

use futures::StreamExt;
use tokio::time::timeout;

use super::{Fleet, PATIENCE, app, names};
use crate::support::proxy::{ACK, PUBLISH, Proxy};

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_between_commit_and_event_repeats_the_event_and_not_the_rows() {
    let fleet = Fleet::new(names(1)).await;
    let mut news = fleet.queue.events().await.unwrap();
    let broker = Proxy::to(fleet.ground.queue_address()).await;
    // All that a worker publishes for a job that goes well is its event, and that comes after the
    // commit.
    broker.cut_before(PUBLISH);
    let worker = fleet.worker_through(&broker.through(&fleet.ground.queue), &fleet.store_url);
    timeout(PATIENCE, broker.sprung(1)).await.unwrap();
    let event = timeout(PATIENCE, news.next()).await.unwrap().unwrap();
    assert_eq!(event.campaign, Some(fleet.campaign.id));
    fleet.ends_well([worker], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_between_event_and_ack_brings_the_job_again_and_changes_nothing() {
    let fleet = Fleet::new(names(1)).await;
    let mut news = fleet.queue.events().await.unwrap();
    let broker = Proxy::to(fleet.ground.queue_address()).await;
    broker.cut_before(ACK);
    let worker = fleet.worker_through(&broker.through(&fleet.ground.queue), &fleet.store_url);
    timeout(PATIENCE, broker.sprung(1)).await.unwrap();
    fleet.ends_well([worker], &[]).await;
    // The same news twice, for whoever drops repeats by their ids.
    let first = timeout(PATIENCE, news.next()).await.unwrap().unwrap();
    let second = timeout(PATIENCE, news.next()).await.unwrap().unwrap();
    assert_eq!((first.job, first.end.outcome), (second.job, second.end.outcome));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_while_jobs_are_published_loses_none() {
    let (fleet, jobs) = Fleet::unpublished(names(3000)).await;
    let broker = Proxy::to(fleet.ground.queue_address()).await;
    let publisher = app(&broker.through(&fleet.ground.queue), &fleet.store_url, &fleet.prefix)
        .queue()
        .await
        .unwrap();
    let (first, rest) = jobs.split_at(500);
    publisher.publish(first.to_vec()).await.unwrap();
    broker.cut_before(PUBLISH);
    let publishing = tokio::spawn({
        let (publisher, rest) = (publisher.clone(), rest.to_vec());
        async move {
            // What the filler does: an error that may pass is a reason to hand over again.
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
    let database = Proxy::to(fleet.ground.store_address()).await;
    let worker = fleet.worker_through(&fleet.ground.queue, &database.through(&fleet.store_url));
    for share in [50, 300, 600] {
        fleet.until(|progress| progress.ended() >= share).await;
        database.cut();
        database.restore();
    }
    fleet.ends_well([worker], &[]).await;
}
