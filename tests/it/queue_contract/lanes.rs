//! Which job a consumer receives next, and how many at a time.

use super::*;

pub async fn jobs_of_a_lane_come_in_order(queue: Arc<dyn JobQueue>) {
    let jobs = jobs(Lane::Scan, 20);
    queue.publish(jobs[..15].to_vec()).await.unwrap();
    queue.publish(jobs[15..].to_vec()).await.unwrap();
    let mut consumer = consumer(&queue, 20).await;
    for job in &jobs {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job(), job);
        settle(delivery, Disposition::Done).await;
    }
}

pub async fn enrolments_go_first_and_no_lane_starves(queue: Arc<dyn JobQueue>) {
    for (lane, count) in [(Lane::Rescore, 10), (Lane::Scan, 10), (Lane::Enrol, 70)] {
        queue.publish(jobs(lane, count)).await.unwrap();
    }
    let mut consumer = consumer(&queue, 1).await;
    let mut lanes = Vec::new();
    for _ in 0..60 {
        let delivery = next(&mut consumer).await;
        lanes.push(delivery.job().lane);
        settle(delivery, Disposition::Done).await;
    }
    let count = |lane| lanes.iter().filter(|&&other| other == lane).count();
    assert_eq!(lanes[0], Lane::Enrol);
    assert!(count(Lane::Enrol) > count(Lane::Scan), "{lanes:?}");
    assert!(count(Lane::Scan) >= count(Lane::Rescore), "{lanes:?}");
    assert!(count(Lane::Rescore) > 0, "{lanes:?}");
}

pub async fn a_consumer_takes_its_own_lanes_only(queue: Arc<dyn JobQueue>) {
    queue
        .publish([jobs(Lane::Enrol, 2), jobs(Lane::Rescore, 2), jobs(Lane::Scan, 2)].concat())
        .await
        .unwrap();
    let mut consumer = queue.consume(&[Lane::Rescore], 10).await.unwrap();
    let deliveries = [next(&mut consumer).await, next(&mut consumer).await];
    assert!(deliveries.iter().all(|delivery| delivery.job().lane == Lane::Rescore));
    assert!(nothing_comes(&mut consumer).await);
}

pub async fn a_job_goes_to_one_consumer(queue: Arc<dyn JobQueue>) {
    let mut consumers = [consumer(&queue, 4).await, consumer(&queue, 4).await];
    let jobs = jobs(Lane::Scan, 8);
    queue.publish(jobs.clone()).await.unwrap();
    let mut deliveries = Vec::new();
    for consumer in &mut consumers {
        for _ in 0..4 {
            deliveries.push(next(consumer).await);
        }
    }
    let mut delivered: Vec<_> = deliveries.iter().map(|delivery| delivery.job().id).collect();
    delivered.sort();
    assert_eq!(delivered, jobs.iter().map(|job| job.id).collect::<Vec<_>>());
}

pub async fn a_waiting_consumer_receives_a_new_job(queue: Arc<dyn JobQueue>) {
    let mut waiting = consumer(&queue, 1).await;
    let wait = tokio::spawn(async move { next(&mut waiting).await.job().clone() });
    tokio::task::yield_now().await;
    let jobs = jobs(Lane::Rescore, 1);
    queue.publish(jobs.clone()).await.unwrap();
    assert_eq!(wait.await.unwrap(), jobs[0]);
}

pub async fn a_wait_for_a_job_can_be_cancelled_without_losing_one(queue: Arc<dyn JobQueue>) {
    let mut consumer = consumer(&queue, 1).await;
    assert!(futures::poll!(Box::pin(consumer.next())).is_pending());
    queue.publish(jobs(Lane::Scan, 1)).await.unwrap();
    settle(next(&mut consumer).await, Disposition::Done).await;
    assert!(nothing_comes(&mut consumer).await);
}

pub async fn a_consumer_holds_no_more_than_its_prefetch(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 10)).await.unwrap();
    let mut first = consumer(&queue, 3).await;
    let mut held = vec![next(&mut first).await, next(&mut first).await, next(&mut first).await];
    assert!(nothing_comes(&mut first).await);

    let mut second = consumer(&queue, 1).await;
    let other = next(&mut second).await;
    for ending in [Some(Disposition::Done), Some(Disposition::Retry(FOREVER)), None] {
        let delivery = held.remove(0);
        match ending {
            Some(disposition) => settle(delivery, disposition).await,
            None => drop(delivery),
        }
        held.push(next(&mut first).await);
        assert!(nothing_comes(&mut first).await);
    }
    settle(other, Disposition::Done).await;
}

pub async fn enrolments_have_their_own_slots(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 4)).await.unwrap();
    let mut consumer = consumer(&queue, 2).await;
    let scans = [next(&mut consumer).await, next(&mut consumer).await];
    assert!(nothing_comes(&mut consumer).await);
    queue.publish(jobs(Lane::Enrol, 4)).await.unwrap();
    let enrolments = [next(&mut consumer).await, next(&mut consumer).await];
    assert_eq!(enrolments.each_ref().map(|delivery| delivery.job().lane), [Lane::Enrol; 2]);
    assert!(nothing_comes(&mut consumer).await);
    for (freed, lane) in
        enrolments.into_iter().zip([Lane::Enrol; 2]).chain(scans.into_iter().zip([Lane::Scan; 2]))
    {
        settle(freed, Disposition::Done).await;
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job().lane, lane);
        settle(delivery, Disposition::Done).await;
    }
    assert!(nothing_comes(&mut consumer).await);
}
