//! A full queue: publishers wait, settling does not.

use super::*;

pub async fn publishers_wait_while_the_queue_is_full(queue: Arc<dyn JobQueue>) {
    let jobs = jobs(Lane::Scan, CAPACITY + 20);
    let mut publisher = {
        let (queue, jobs) = (Arc::clone(&queue), jobs.clone());
        tokio::spawn(async move { queue.publish(jobs).await })
    };
    assert!(timeout(PATIENCE, &mut publisher).await.is_err(), "the publisher should wait");
    assert!(ready(&queue.status().await.unwrap()) <= CAPACITY as u64);

    let mut consumer = consumer(&queue, 1).await;
    for job in &jobs {
        let delivery = next(&mut consumer).await;
        assert_eq!(delivery.job(), job);
        settle(delivery, Disposition::Done).await;
    }
    timeout(PATIENCE, publisher).await.expect("there is room for all").unwrap().unwrap();
}

pub async fn every_waiting_publisher_gets_its_turn(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, CAPACITY)).await.unwrap();
    let publishers: Vec<_> = (0..5)
        .map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.publish(jobs(Lane::Enrol, 3)).await })
        })
        .collect();
    let mut consumer = consumer(&queue, 1).await;
    for _ in 0..CAPACITY + 15 {
        settle(next(&mut consumer).await, Disposition::Done).await;
    }
    for publisher in publishers {
        timeout(PATIENCE, publisher).await.expect("there is room for all").unwrap().unwrap();
    }
    assert!(nothing_comes(&mut consumer).await);
}

pub async fn a_full_queue_accepts_what_comes_back(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, 3)).await.unwrap();
    let mut consumer = consumer(&queue, 3).await;
    let [retried, dropped, dead] =
        [next(&mut consumer).await, next(&mut consumer).await, next(&mut consumer).await];
    let filter = of_job(dead.job());
    queue.publish(jobs(Lane::Rescore, CAPACITY)).await.unwrap();

    timeout(PATIENCE, settle(retried, Disposition::Retry(Duration::ZERO))).await.unwrap();
    drop(dropped);
    timeout(PATIENCE, settle(dead, Disposition::Bury("no".into()))).await.unwrap();
    assert_eq!(timeout(PATIENCE, queue.resolve_dead(&filter, true)).await.unwrap().unwrap(), 1);
    let mut scans = queue.consume(&[Lane::Scan], 3).await.unwrap();
    let _back = [next(&mut scans).await, next(&mut scans).await, next(&mut scans).await];
}

pub async fn a_publish_that_waits_fails_when_the_queue_closes(queue: Arc<dyn JobQueue>) {
    queue.publish(jobs(Lane::Scan, CAPACITY)).await.unwrap();
    let publishers: Vec<_> = (0..3)
        .map(|_| {
            let queue = Arc::clone(&queue);
            tokio::spawn(async move { queue.publish(jobs(Lane::Scan, 1)).await })
        })
        .collect();
    tokio::task::yield_now().await;
    queue.close().await;
    for publisher in publishers {
        let refused =
            timeout(PATIENCE, publisher).await.expect("a pending publish should fail").unwrap();
        assert!(matches!(refused, Err(QueueError::Closed)));
    }
}
