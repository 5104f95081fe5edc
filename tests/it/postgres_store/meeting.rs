//! Workers that write the same rows at once, and connections that break.

use std::sync::Arc;

use facefleet::domain::{JobRecord, Outcome};
use facefleet::store::postgres::PostgresStore;
use facefleet::store::{Effect, Maintenance, Reading, Results, StoreError};
use tokio::sync::Barrier;

use super::{number, opened};
use crate::support::stack::Database;
use crate::support::{content, effects, gallery, profile, scored, unfetched};

const WORKERS: usize = 6;
const IMAGES: usize = 60;

/// What worker `worker` records of image `number`: its bytes, versions and profiles contradict
/// those of the other workers.
fn contradicting(worker: usize, number: usize) -> JobRecord {
    let name = number.to_string();
    let record = match (worker + number) % 4 {
        0 => scored(&name, &[10]),
        1 => JobRecord { content: content(b"newer"), ..scored(&name, &[20, 30]) },
        2 => unfetched(&name, Outcome::Failed("timed out".into())),
        _ => JobRecord { content: content(b"newest"), ..scored(&name, &[40]) },
    };
    if worker.is_multiple_of(2) {
        record
    } else {
        JobRecord { profile: profile("b").id(), ..record }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workers_that_contradict_each_other_leave_one_version_of_each_image_and_never_deadlock() {
    let database = Database::new().await;
    let start = Arc::new(Barrier::new(WORKERS));
    opened(&database).await.close().await;
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (url, start) = (database.url.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                let store = PostgresStore::open(&url, 1).await.unwrap();
                // Each in another order: 7 and 60 have no common divisor.
                let records: Vec<_> = (0..IMAGES)
                    .map(|place| contradicting(worker, (place * 7 + worker * 11) % IMAGES))
                    .collect();
                start.wait().await;
                for batch in records.chunks(20) {
                    store.record(batch).await.unwrap();
                }
                // Statistics are complete when a connection ends.
                store.close().await;
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    assert_eq!(
        number(
            &database,
            "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        .await,
        0
    );
    // All current results of an image come from the same bytes, or from none, and a profile has
    // one of them.
    let versions = "SELECT coalesce(max(versions), 0)::bigint FROM (SELECT count(DISTINCT \
        nullif(content_hash, '')) AS versions \
                    FROM results r JOIN images i ON i.id = r.image_id WHERE NOT superseded GROUP \
                    BY uri_key) v";
    assert_eq!(number(&database, versions).await, 1);
    let results = "SELECT max(results)::bigint FROM (SELECT count(*) AS results FROM results r \
        JOIN images i ON i.id = r.image_id \
                   WHERE NOT superseded GROUP BY uri_key, gallery_profile_id) v";
    assert_eq!(number(&database, results).await, 1);
    assert_eq!(number(&database, "SELECT count(*) FROM sources").await, IMAGES as i64);
    let strays = "SELECT count(*) FROM templates t WHERE NOT EXISTS \
                  (SELECT FROM faces f WHERE f.result_id = t.result_id AND f.face_index = \
                  t.face_index)";
    assert_eq!(number(&database, strays).await, 0);
    let unlike = "SELECT count(*) FROM faces f JOIN results r ON r.id = f.result_id WHERE \
        f.superseded <> r.superseded";
    assert_eq!(number(&database, unlike).await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_empty_database_can_be_opened_by_many_at_once() {
    let database = Database::new().await;
    let start = Arc::new(Barrier::new(WORKERS));
    let workers: Vec<_> = (0..WORKERS)
        .map(|worker| {
            let (url, start) = (database.url.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                let store = PostgresStore::open(&url, 2).await.unwrap();
                store.register_profile(&profile("a")).await.unwrap();
                store.record(&[scored(&worker.to_string(), &[10])]).await.unwrap();
            })
        })
        .collect();
    for worker in workers {
        worker.await.unwrap();
    }
    let store = PostgresStore::open(&database.url, 2).await.unwrap();
    assert_eq!(store.summary(&gallery(), &profile("a").id()).await.unwrap().faces, WORKERS as u64);
}

#[tokio::test]
async fn a_pool_whose_connections_were_cut_recovers_by_itself() {
    let database = Database::new().await;
    let store = opened(&database).await;
    store.record(&[scored("one", &[10])]).await.unwrap();
    let cut = "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity WHERE datname = \
        current_database() AND pid <> pg_backend_pid()";
    assert!(number(&database, cut).await > 0);
    // A connection that breaks in the middle is a temporary fault: the caller tries again.
    let mut tries = 0;
    let recorded = loop {
        match store.record(&[scored("two", &[20])]).await {
            Err(StoreError::Unavailable(_)) if tries < 4 => tries += 1,
            ended => break ended,
        }
    };
    assert_eq!(effects(recorded), [Effect::New]);
    assert_eq!(store.summary(&gallery(), &profile("a").id()).await.unwrap().faces, 2);
}

#[tokio::test]
async fn a_lock_that_is_held_for_too_long_is_temporary_and_leaves_nothing_behind() {
    let database = Database::new().await;
    let mut url = url::Url::parse(&database.url).unwrap();
    url.query_pairs_mut().append_pair("options[lock_timeout]", "50");
    opened(&database).await.record(&[scored("one", &[10])]).await.unwrap();
    let store = PostgresStore::open(url.as_str(), 2).await.unwrap();
    let mut other = sqlx::postgres::PgPoolOptions::new()
        .connect(&database.url)
        .await
        .unwrap()
        .begin()
        .await
        .unwrap();
    sqlx::query("SELECT FROM sources FOR UPDATE").execute(&mut *other).await.unwrap();
    let batch = [scored("two", &[20]), scored("one", &[10])];
    let error = store.record(&batch).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    other.rollback().await.unwrap();
    assert_eq!(effects(store.record(&batch).await), [Effect::New, Effect::Repeated]);
}
