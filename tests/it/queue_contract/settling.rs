//! What becomes of a delivery that is settled or dropped.

use super::*;

pub async fn a_job_that_is_done_is_forgotten(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 1)).await.unwrap();
    let mut consumer = consumer(&queue, 10).await;
    settle(next(&mut consumer).await, Disposition::Done).await;
    assert!(nothing_comes(&mut consumer).await);
    becomes(&queue, empty()).await;
}

pub async fn a_dropped_delivery_comes_again_with_the_attempt_counted(queue: Arc<dyn JobQueue>) {
    let jobs = jobs(Lane::Enrol, 1);
    queue.publish(jobs.clone()).await.unwrap();
    let mut consumer = consumer(&queue, 1).await;
    for attempt in 1..=3 {
        let delivery = next(&mut consumer).await;
        assert_eq!(*delivery.job(), Job { attempt, ..jobs[0].clone() });
    }
}

pub async fn a_delivery_in_a_task_that_panics_comes_again(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 1)).await.unwrap();
    let mut consumer = consumer(&queue, 1).await;
    let delivery = next(&mut consumer).await;
    let worker = tokio::spawn(async move {
        let _held = delivery;
        panic!("on purpose");
    });
    assert!(worker.await.is_err());
    assert_eq!(next(&mut consumer).await.job().attempt, 2);
}

pub async fn a_retry_comes_after_its_time_with_the_attempt_counted(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 3)).await.unwrap();
    let mut consumer = consumer(&queue, 10).await;
    let start = Instant::now();
    let waits =
        [Duration::from_millis(1500), Duration::from_millis(500), Duration::from_millis(1000)];
    for wait in waits {
        settle(next(&mut consumer).await, Disposition::Retry(wait)).await;
    }
    for (name, wait) in [("scan-1", waits[1]), ("scan-2", waits[2]), ("scan-0", waits[0])] {
        let delivery = next(&mut consumer).await;
        assert!(start.elapsed() >= wait, "{name} came after {:?}", start.elapsed());
        assert!(delivery.job().image.as_str().contains(name));
        assert_eq!(delivery.job().attempt, 2);
        settle(delivery, Disposition::Done).await;
    }
    becomes(&queue, empty()).await;
}
