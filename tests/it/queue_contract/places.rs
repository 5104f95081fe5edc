//! Places: where jobs wait apart from their lane, and cost nothing.

use std::collections::BTreeSet;

use facefleet::domain::{CampaignId, ProfileId, SourceName, SubQueue, SubQueueOf};

use super::*;

fn of_campaign() -> SubQueue {
    SubQueue { lane: Lane::Scan, of: SubQueueOf::Campaign(CampaignId::new()) }
}

fn of_source(lane: Lane) -> SubQueue {
    SubQueue { lane, of: SubQueueOf::Source(SourceName::new("s3://photos")) }
}

fn from(places: &[&SubQueue]) -> BTreeSet<SubQueue> {
    places.iter().map(|place| (*place).clone()).collect()
}

async fn waiting(queue: &Arc<dyn JobQueue>, place: &SubQueue, expected: u64) {
    let due = Instant::now() + PATIENCE;
    // A broker counts when it gets to it.
    loop {
        let [count] = queue.waiting(std::slice::from_ref(place)).await.unwrap()[..] else {
            panic!("one count a place")
        };
        if count == expected {
            return;
        }
        assert!(Instant::now() < due, "{count} instead of {expected}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn a_place_is_taken_from_only_while_that_is_wanted(queue: Arc<dyn JobQueue>) {
    let (place, jobs) = (of_campaign(), jobs(Lane::Scan, 8));
    let mut consumer = consumer(&queue, 1).await;
    queue.publish_to(&place, jobs.clone()).await.unwrap();
    assert!(nothing_comes(&mut consumer).await);
    waiting(&queue, &place, 8).await;
    becomes(&queue, QueueStatus { waiting: 8, ..empty() }).await;

    consumer.take_from(from(&[&place]));
    for job in &jobs[..3] {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job(), job);
        settle(delivery, Disposition::Done).await;
    }
    consumer.take_from(BTreeSet::new());
    // What was sent ahead may still come.
    let mut came = 3;
    while let Ok(Some(delivery)) = timeout(QUIET, consumer.next()).await {
        settle(delivery, Disposition::Done).await;
        came += 1;
    }
    assert!(came <= 5, "{came} came");
    waiting(&queue, &place, 8 - came).await;
    consumer.take_from(from(&[&place]));
    for _ in came..8 {
        settle(next(&mut consumer).await, Disposition::Done).await;
    }
    becomes(&queue, empty()).await;
}

pub async fn a_job_that_is_held_waits_at_its_place_as_if_it_had_not_been_delivered(
    queue: Arc<dyn JobQueue>,
) {
    let jobs = jobs(Lane::Scan, 2);
    queue.publish(jobs.clone()).await.unwrap();
    let mut consumer = consumer(&queue, 2).await;
    let profile: ProfileId = "0123456789abcdef".parse().unwrap();
    let place = SubQueue { lane: Lane::Scan, of: SubQueueOf::Profile(profile) };
    for _ in 0..2 {
        settle(next(&mut consumer).await, Disposition::SetAside(place.clone())).await;
    }
    assert!(nothing_comes(&mut consumer).await);
    waiting(&queue, &place, 2).await;
    consumer.take_from(from(&[&place]));
    for job in &jobs {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job(), job, "with no attempt counted");
        settle(delivery, Disposition::Done).await;
    }
    becomes(&queue, empty()).await;
}

pub async fn a_dropped_delivery_of_a_place_comes_again_from_there(queue: Arc<dyn JobQueue>) {
    let (place, jobs) = (of_campaign(), jobs(Lane::Scan, 1));
    queue.publish_to(&place, jobs.clone()).await.unwrap();
    let mut consumer = consumer(&queue, 1).await;
    consumer.take_from(from(&[&place]));
    drop(next(&mut consumer).await);
    assert_eq!(*next(&mut consumer).await.job(), Job { attempt: 2, ..jobs[0].clone() });
}

pub async fn a_consumer_takes_from_places_of_its_own_lanes_only(queue: Arc<dyn JobQueue>) {
    let (own, other) = (of_source(Lane::Rescore), of_source(Lane::Enrol));
    queue.publish_to(&own, jobs(Lane::Rescore, 1)).await.unwrap();
    queue.publish_to(&other, jobs(Lane::Enrol, 1)).await.unwrap();
    let mut consumer = queue.consume(&[Lane::Rescore], 4).await.unwrap();
    consumer.take_from(from(&[&own, &other]));
    let held = next(&mut consumer).await;
    assert_eq!(held.job().lane, Lane::Rescore);
    assert!(nothing_comes(&mut consumer).await);
}

pub async fn no_campaign_waits_for_another_to_end(queue: Arc<dyn JobQueue>) {
    let (large, small) = (of_campaign(), of_campaign());
    queue.publish_to(&large, jobs(Lane::Scan, 80)).await.unwrap();
    let few = jobs(Lane::Scan, 4);
    queue.publish_to(&small, few.clone()).await.unwrap();
    let mut consumer = consumer(&queue, 2).await;
    consumer.take_from(from(&[&large, &small]));
    let mut left = few.len();
    for _ in 0..40 {
        let delivery = next(&mut consumer).await;
        left -= usize::from(few.iter().any(|job| job.id == delivery.job().id));
        settle(delivery, Disposition::Done).await;
    }
    assert_eq!(left, 0, "all of the small campaign come among the first 40");
}

pub async fn a_place_that_is_removed_is_gone_with_its_jobs(queue: Arc<dyn JobQueue>) {
    let place = of_campaign();
    queue.publish_to(&place, jobs(Lane::Scan, 5)).await.unwrap();
    let mut consumer = consumer(&queue, 1).await;
    consumer.take_from(from(&[&place]));
    let held = next(&mut consumer).await;
    queue.remove(&place).await.unwrap();
    queue.remove(&place).await.unwrap();
    // On a broker it went with its queue.
    held.settle(Disposition::Done).await.unwrap();
    waiting(&queue, &place, 0).await;
    // One more may have been sent ahead.
    if let Ok(Some(delivery)) = timeout(QUIET, consumer.next()).await {
        delivery.settle(Disposition::Done).await.unwrap();
    }
    assert!(nothing_comes(&mut consumer).await);
    queue.publish_to(&place, jobs(Lane::Scan, 1)).await.unwrap();
    settle(next(&mut consumer).await, Disposition::Done).await;
    becomes(&queue, empty()).await;
}

pub async fn a_closed_queue_takes_nothing_for_a_place(queue: Arc<dyn JobQueue>) {
    queue.close().await;
    assert!(matches!(
        queue.publish_to(&of_campaign(), jobs(Lane::Scan, 1)).await,
        Err(QueueError::Closed)
    ));
}
