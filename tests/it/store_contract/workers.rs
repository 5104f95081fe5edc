//! The workers that run.

use std::time::Duration;

use facefleet::domain::{Lane, WorkerId};
use facefleet::store::{BEAT_EVERY, GONE_AFTER};
use tokio::time::sleep;

use super::*;
use crate::support::worker_report;

pub async fn a_worker_is_live_while_it_reports_itself(home: impl Home) {
    let store = opened(&home).await;
    assert_eq!(store.workers().await.unwrap(), []);
    let [mut first, second] = [worker_report("one"), worker_report("two")];
    first.lanes = vec![Lane::Enrol, Lane::Rescore];
    first.roots = vec!["/photos/Zoë \"1\"".into(), "s3://photos/staff".into()];
    first.resolved = vec!["/mnt/photos".into()];
    first.listener = None;
    store.beat(&first).await.unwrap();
    store.beat(&second).await.unwrap();
    let seen = home.open().await.workers().await.unwrap();
    let reports: Vec<_> = seen.iter().map(|worker| &worker.report).collect();
    assert!(reports.contains(&&first) && reports.contains(&&second) && seen.len() == 2);
    assert!(seen.iter().all(|worker| worker.live && worker.started_at == worker.last_seen));

    store.beat(&first).await.unwrap();
    let again = store.workers().await.unwrap();
    let find = |id| again.iter().find(|worker| worker.report.id == id).unwrap();
    assert_eq!(find(first.id).started_at, seen[0].started_at, "it began once");
    assert_eq!(again.len(), 2);

    for _ in 0..2 {
        store.end_worker(second.id).await.unwrap();
    }
    let left = store.workers().await.unwrap();
    assert_eq!((left.len(), left[0].report.id), (1, first.id));
}

pub async fn a_worker_whose_report_is_in_the_future_is_gone(home: impl Home) {
    let store = opened(&home).await;
    let dead = worker_report("dead");
    store.beat(&dead).await.unwrap();
    let put_back = async |time: Duration| {
        let seconds = time.as_secs();
        let sqlite = format!("UPDATE workers SET last_seen_ms = last_seen_ms + {seconds}000");
        let postgres = format!("UPDATE workers SET last_seen = last_seen + interval '{seconds} s'");
        home.change(&sqlite, &postgres).await;
    };
    let seen = async || store.workers().await.unwrap();
    // Clocks of two processes may differ a little.
    put_back(GONE_AFTER / 3).await;
    assert!(seen().await[0].live);
    put_back(Duration::from_secs(3600)).await;
    assert!(!seen().await[0].live, "the clock was put back by an hour");
    put_back(Duration::from_secs(86_400)).await;
    assert_eq!(seen().await, [], "it is forgotten as if it had been silent for a day");
    store.beat(&worker_report("other")).await.unwrap();
    let sqlite = "UPDATE workers SET last_seen_ms = last_seen_ms - 90000000 WHERE host = 'dead'";
    let postgres = "UPDATE workers SET last_seen = last_seen - interval '25 h' WHERE host = 'dead'";
    home.change(sqlite, postgres).await;
    assert_eq!(seen().await.len(), 1, "its row is gone");
    store.beat(&dead).await.unwrap();
    assert_eq!(seen().await.iter().filter(|worker| worker.live).count(), 2);
}

pub async fn a_worker_that_is_silent_is_gone_and_back_with_its_next_report(home: impl Home) {
    let store = opened(&home).await;
    let (silent, other) = (worker_report("silent"), worker_report("other"));
    store.beat(&silent).await.unwrap();
    store.beat(&other).await.unwrap();
    let give_up = tokio::time::Instant::now() + GONE_AFTER + BEAT_EVERY;
    while tokio::time::Instant::now() < give_up {
        sleep(Duration::from_millis(500)).await;
        store.beat(&other).await.unwrap();
    }
    let live = |id: WorkerId| {
        let store = &store;
        async move {
            let seen = store.workers().await.unwrap();
            seen.iter().find(|worker| worker.report.id == id).unwrap().live
        }
    };
    assert!(!live(silent.id).await && live(other.id).await);
    store.beat(&silent).await.unwrap();
    assert!(live(silent.id).await);
}
