//! Workers that die, panic, and take jobs at the same time.

use std::time::Duration;

use facefleet::domain::OutcomeKind;
use tokio::time::sleep;

use super::{Fleet, Worker, names};

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_jobs_survive_workers_killed_at_random() {
    let (fleet, mut jobs) = Fleet::unpublished(names(2000)).await;
    // Published after the third kill, so that the jobs do not end before.
    let mut others = jobs.split_off(1000);
    fleet.queue.publish(jobs).await.unwrap();
    let mut workers: Vec<Worker> = (0..3).map(|_| fleet.worker()).collect();
    // A fixed random sequence decides which worker is killed and when. The sleeps are a part of the
    // fault.
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = |below: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % below
    };
    let (mut kills, mut at_work, mut before, mut published) = (0, 0, 0, 1000);
    while !fleet.progress().await.is_complete() && kills < 40 {
        // What was in flight comes first again. A job whose worker dies each time is given up.
        fleet.until(|progress| progress.ended() >= (before + 100).min(published)).await;
        sleep(Duration::from_millis(40 + next(200))).await;
        let victim = next(workers.len() as u64) as usize;
        before = fleet.progress().await.ended();
        at_work += u32::from(before < published);
        workers[victim].kill();
        workers[victim] = fleet.worker();
        kills += 1;
        if kills == 3 {
            fleet.queue.publish(std::mem::take(&mut others)).await.unwrap();
            published = 2000;
        }
    }
    assert!(at_work > 0, "the jobs ended before a worker was killed");
    fleet.ends_well(workers, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_panics_fails_and_its_neighbours_do_not() {
    let fleet = Fleet::new(names(50).chain([
        "panic.jpg".to_owned(),
        "hiccup.jpg".to_owned(),
        "never.jpg".to_owned(),
    ]))
    .await;
    let worker = fleet.worker();
    fleet.ends_well([worker], &["panic", "never"]).await;
    let dead = fleet.queue.dead_letters(10).await.unwrap();
    assert_eq!(dead.len(), 2, "{dead:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_kills_its_worker_is_isolated() {
    let fleet = Fleet::new(
        names(30).chain(["abort.jpg".to_owned()]).chain((30..60).map(|n| format!("{n:05}.jpg"))),
    )
    .await;
    // As an orchestrator does, start it again.
    let mut worker = fleet.worker();
    while !fleet.progress().await.is_complete() {
        if worker.process.try_wait().unwrap().is_some() {
            worker = fleet.worker();
        }
        sleep(Duration::from_millis(50)).await;
    }
    fleet.ends_well([worker], &["abort"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_delivered_twice_at_once_to_two_workers_is_recorded_once() {
    let (fleet, jobs) = Fleet::unpublished(names(200)).await;
    let twice: Vec<_> = jobs.iter().flat_map(|job| [job.clone(), job.clone()]).collect();
    fleet.queue.publish(twice).await.unwrap();
    fleet.ends_well([fleet.worker(), fleet.worker()], &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_asked_to_stop_finishes_its_jobs_and_exits_with_zero() {
    let fleet = Fleet::new(names(500)).await;
    let worker = fleet.worker();
    fleet.until(|progress| progress.ended() > 0).await;
    assert_eq!(worker.stop().await, Some(0));
    // No job is unsettled: those that were taken are settled, the rest are ready. Some may be ready
    // again after they ended: a quorum queue applies 32 acknowledgements at once and drops
    // incomplete groups when the channel ends. They are recorded once, as the end shows.
    let (queue, progress) = (fleet.queue.status().await.unwrap(), fleet.progress().await);
    let ready: u64 = queue.ready.iter().map(|(_, jobs)| jobs).sum();
    assert!(ready + progress.ended() >= 500, "{ready} + {}", progress.ended());
    fleet.ends_well([fleet.worker()], &[]).await;
    assert_eq!(fleet.progress().await.outcomes, [(OutcomeKind::Scored, 500)].into());
}
