//! Dead letters: listed, retried, dropped.

use facefleet::domain::CampaignId;
use facefleet::queue::{DeadLetterFilter, count_by_reason};

use super::*;

pub fn of_job(job: &Job) -> DeadLetterFilter {
    DeadLetterFilter { job: Some(job.id), ..DeadLetterFilter::default() }
}

fn of_reason(reason: &str) -> DeadLetterFilter {
    DeadLetterFilter { reason: Some(reason.into()), ..DeadLetterFilter::default() }
}

pub async fn a_dead_letter_is_listed_with_its_reason(queue: Arc<dyn JobQueue>) {
    let jobs = jobs(Lane::Scan, 3);
    queue.publish(jobs.clone()).await.unwrap();
    let mut consumer = consumer(&queue, 1).await;
    for reason in ["first", "second", "third"] {
        settle(next(&mut consumer).await, Disposition::Bury(reason.into())).await;
    }
    assert!(nothing_comes(&mut consumer).await);
    becomes(&queue, QueueStatus { dead: 3, ..empty() }).await;
    let letters = queue.dead_letters(10).await.unwrap();
    for (letter, (job, reason)) in letters.iter().zip(jobs.iter().zip(["first", "second", "third"]))
    {
        assert_eq!(
            (letter.job.as_ref(), letter.reason.as_str(), letter.deliveries),
            (Some(job), reason, 1)
        );
        assert!(letter.history.is_empty());
        let died_at: jiff::Timestamp = letter.died_at.as_ref().unwrap().parse().unwrap();
        assert!(jiff::Timestamp::now().duration_since(died_at).as_secs() < 60);
    }
    let two = queue.dead_letters(2).await.unwrap();
    assert!(two.len() == 2 && two.iter().all(|letter| letters.contains(letter)));
    assert_eq!(queue.dead_letters(10).await.unwrap(), letters, "listing changes nothing");
}

pub async fn many_dead_letters_are_resolved_and_none_comes_back(queue: Arc<dyn JobQueue>) {
    const LETTERS: usize = 60;
    queue.publish(jobs(Lane::Scan, LETTERS)).await.unwrap();
    let mut consumer = consumer(&queue, LETTERS).await;
    for retry in [true, true, true, true, false] {
        for _ in 0..LETTERS {
            settle(next(&mut consumer).await, Disposition::Bury("no".into())).await;
        }
        // Not more: none that was resolved before is back.
        becomes(&queue, QueueStatus { dead: LETTERS as u64, ..empty() }).await;
        let all = DeadLetterFilter::default();
        assert_eq!(queue.resolve_dead(&all, retry).await.unwrap(), LETTERS as u64);
    }
    becomes(&queue, empty()).await;
}

pub async fn a_dead_letter_can_be_retried_or_dropped_once(queue: Arc<dyn JobQueue>) {
    let mut jobs = jobs(Lane::Scan, 2);
    jobs[0].campaign = Some(CampaignId::new());
    queue.publish(jobs.clone()).await.unwrap();
    let mut consumer = consumer(&queue, 1).await;
    // The first is dead-lettered at its second attempt.
    drop(next(&mut consumer).await);
    for _ in 0..2 {
        settle(next(&mut consumer).await, Disposition::Bury("no".into())).await;
    }

    assert_eq!(queue.resolve_dead(&of_job(&jobs[0]), true).await.unwrap(), 1);
    let delivery = next(&mut consumer).await;
    let retried = delivery.job().clone();
    assert_eq!(retried, jobs[0], "the same job in the same campaign, at its first attempt");
    assert_eq!(queue.resolve_dead(&of_job(&jobs[1]), false).await.unwrap(), 1);
    for job in &jobs {
        assert_eq!(queue.resolve_dead(&of_job(job), true).await.unwrap(), 0);
    }
    assert_eq!(queue.dead_letters(10).await.unwrap(), []);

    settle(delivery, Disposition::Bury("no again".into())).await;
    let letters = queue.dead_letters(10).await.unwrap();
    assert_eq!(
        (letters[0].reason.as_str(), &letters[0].history[..]),
        ("no again", &["no".to_owned()][..])
    );
    assert!(nothing_comes(&mut consumer).await);
}

pub async fn dead_letters_are_counted_and_resolved_by_reason(queue: Arc<dyn JobQueue>) {
    let jobs = jobs(Lane::Scan, 5);
    queue.publish(jobs.clone()).await.unwrap();
    let mut first = consumer(&queue, 5).await;
    for reason in ["no such bucket: a", "timeout", "no such bucket: b", "timeout", "timeout"] {
        settle(next(&mut first).await, Disposition::Bury(reason.into())).await;
    }
    let counts = count_by_reason(&queue.dead_letters(10).await.unwrap());
    let count = |reason: &str, count| (reason.to_owned(), count);
    assert_eq!(
        counts,
        [count("timeout", 3), count("no such bucket: a", 1), count("no such bucket: b", 1)]
    );

    assert_eq!(queue.resolve_dead(&of_reason("no such bucket"), false).await.unwrap(), 2);
    let one = DeadLetterFilter { reason: Some("timeout".into()), ..of_job(&jobs[1]) };
    assert_eq!(queue.resolve_dead(&one, true).await.unwrap(), 1);
    assert_eq!(next(&mut first).await.job().id, jobs[1].id);
    let left: Vec<_> = queue
        .dead_letters(10)
        .await
        .unwrap()
        .into_iter()
        .map(|letter| letter.job.unwrap().id)
        .collect();
    assert_eq!(left, [jobs[3].id, jobs[4].id]);
    let of_jobs = DeadLetterFilter {
        jobs: Some([jobs[0].id, jobs[3].id].into()),
        ..DeadLetterFilter::default()
    };
    assert_eq!(queue.resolve_dead(&of_jobs, false).await.unwrap(), 1);
    assert_eq!(queue.resolve_dead(&DeadLetterFilter::default(), false).await.unwrap(), 1);
    assert_eq!(queue.status().await.unwrap().dead, 0);
}
