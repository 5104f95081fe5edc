//! Sub-queues, in which jobs wait at no cost.

use std::collections::BTreeSet;

use facefleet::domain::{CampaignId, ProfileId, SourceName, SubQueue, SubQueueOf};

use super::*;

fn of_campaign() -> SubQueue {
    SubQueue { lane: Lane::Scan, of: SubQueueOf::Campaign(CampaignId::new()) }
}

fn of_source(lane: Lane) -> SubQueue {
    SubQueue { lane, of: SubQueueOf::Source(SourceName::new("s3://photos")) }
}

fn from(sub_queues: &[&SubQueue]) -> BTreeSet<SubQueue> {
    sub_queues.iter().map(|sub_queue| (*sub_queue).clone()).collect()
}

async fn count(queue: &Arc<dyn JobQueue>, sub_queue: &SubQueue) -> u64 {
    let [count] = queue.waiting(std::slice::from_ref(sub_queue)).await.unwrap()[..] else {
        panic!("one count per sub-queue")
    };
    count
}

async fn waiting(queue: &Arc<dyn JobQueue>, sub_queue: &SubQueue, expected: u64) {
    let due = Instant::now() + PATIENCE;
    // A broker counts with a delay.
    loop {
        let count = count(queue, sub_queue).await;
        if count == expected {
            return;
        }
        assert!(Instant::now() < due, "{count} instead of {expected}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

pub async fn a_sub_queue_is_consumed_only_while_it_is_selected(queue: Arc<dyn JobQueue>) {
    let (sub_queue, jobs) = (of_campaign(), jobs(Lane::Scan, 8));
    let mut consumer = consumer(&queue, 1).await;
    queue.publish_to(&sub_queue, jobs.clone()).await.unwrap();
    assert!(nothing_comes(&mut consumer).await);
    waiting(&queue, &sub_queue, 8).await;
    becomes(&queue, QueueStatus { waiting: 8, ..empty() }).await;

    consumer.take_from(from(&[&sub_queue]));
    for job in &jobs[..3] {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job(), job);
        settle(delivery, Disposition::Done).await;
    }
    consumer.take_from(BTreeSet::new());
    // Prefetched jobs may still come, until all others wait.
    let (mut came, due) = (3, Instant::now() + PATIENCE);
    loop {
        if let Ok(Some(delivery)) = timeout(QUIET, consumer.next()).await {
            settle(delivery, Disposition::Done).await;
            came += 1;
        } else if count(&queue, &sub_queue).await == 8 - came {
            break;
        }
        assert!(came <= 5 && Instant::now() < due, "{came} came");
    }
    consumer.take_from(from(&[&sub_queue]));
    for _ in came..8 {
        settle(next(&mut consumer).await, Disposition::Done).await;
    }
    becomes(&queue, empty()).await;
}

pub async fn a_job_that_is_set_aside_waits_in_its_sub_queue_as_the_same_attempt(
    queue: Arc<dyn JobQueue>,
) {
    let jobs = jobs(Lane::Scan, 2);
    queue.publish(jobs.clone()).await.unwrap();
    let mut consumer = consumer(&queue, 2).await;
    let profile: ProfileId = "0123456789abcdef".parse().unwrap();
    let sub_queue = SubQueue { lane: Lane::Scan, of: SubQueueOf::Profile(profile) };
    for _ in 0..2 {
        settle(next(&mut consumer).await, Disposition::SetAside(sub_queue.clone())).await;
    }
    assert!(nothing_comes(&mut consumer).await);
    waiting(&queue, &sub_queue, 2).await;
    consumer.take_from(from(&[&sub_queue]));
    for job in &jobs {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job(), job, "no attempt is counted");
        settle(delivery, Disposition::Done).await;
    }
    becomes(&queue, empty()).await;
}

pub async fn a_dropped_delivery_from_a_sub_queue_comes_again_with_the_attempt_counted(
    queue: Arc<dyn JobQueue>,
) {
    let (sub_queue, jobs) = (of_campaign(), jobs(Lane::Scan, 1));
    queue.publish_to(&sub_queue, jobs.clone()).await.unwrap();
    let mut consumer = consumer(&queue, 1).await;
    consumer.take_from(from(&[&sub_queue]));
    drop(next(&mut consumer).await);
    assert_eq!(*next(&mut consumer).await.job(), Job { attempt: 2, ..jobs[0].clone() });
}

pub async fn a_consumer_receives_from_sub_queues_of_its_own_lanes_only(queue: Arc<dyn JobQueue>) {
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
    assert_eq!(left, 0, "all jobs of the small campaign come among the first 40");
}

pub async fn a_sub_queue_with_jobs_is_not_removed_as_empty(queue: Arc<dyn JobQueue>) {
    let sub_queue = of_campaign();
    assert!(queue.remove_empty(&sub_queue).await.unwrap(), "there is none");
    queue.publish_to(&sub_queue, jobs(Lane::Scan, 2)).await.unwrap();
    assert!(!queue.remove_empty(&sub_queue).await.unwrap());
    waiting(&queue, &sub_queue, 2).await;
    let mut consumer = consumer(&queue, 2).await;
    consumer.take_from(from(&[&sub_queue]));
    for _ in 0..2 {
        settle(next(&mut consumer).await, Disposition::Done).await;
    }
    waiting(&queue, &sub_queue, 0).await;
    assert!(queue.remove_empty(&sub_queue).await.unwrap());
}

pub async fn a_sub_queue_is_removed_with_its_jobs(queue: Arc<dyn JobQueue>) {
    let sub_queue = of_campaign();
    queue.publish_to(&sub_queue, jobs(Lane::Scan, 5)).await.unwrap();
    let mut consumer = consumer(&queue, 1).await;
    consumer.take_from(from(&[&sub_queue]));
    let held = next(&mut consumer).await;
    queue.remove(&sub_queue).await.unwrap();
    queue.remove(&sub_queue).await.unwrap();
    // On a broker the delivery was deleted with its queue.
    held.settle(Disposition::Done).await.unwrap();
    waiting(&queue, &sub_queue, 0).await;
    // One more job may be prefetched, and may come late. A broker does not always tell consumers of
    // a deletion if the queue is declared again at once.
    let mut more = 0;
    while let Ok(Some(delivery)) = timeout(QUIET, consumer.next()).await {
        delivery.settle(Disposition::Done).await.unwrap();
        more += 1;
    }
    let new = jobs(Lane::Scan, 1);
    queue.publish_to(&sub_queue, new.clone()).await.unwrap();
    let mut delivery = next(&mut consumer).await;
    while delivery.job().id != new[0].id {
        delivery.settle(Disposition::Done).await.unwrap();
        more += 1;
        delivery = next(&mut consumer).await;
    }
    assert!(more <= 1, "{more} jobs came that were removed");
    settle(delivery, Disposition::Done).await;
    becomes(&queue, empty()).await;
}

pub async fn a_closed_queue_accepts_nothing_for_a_sub_queue(queue: Arc<dyn JobQueue>) {
    queue.close().await;
    assert!(matches!(
        queue.publish_to(&of_campaign(), jobs(Lane::Scan, 1)).await,
        Err(QueueError::Closed)
    ));
}
