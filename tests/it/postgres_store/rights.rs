//! Checks of what a worker's role may write.

use std::time::Duration;

use facefleet::domain::{ErasureTarget, Lane};
use facefleet::store::postgres::PostgresStore;
use facefleet::store::{
    Erasures, Maintenance, NewErasure, RemovedImages, Results, Retention, StoreError,
};
use sqlx::{Connection, PgConnection};
use tokio::time::timeout;

use super::roles::{guided, url_of};
use crate::support::{content, gallery, job, profile, scored, uri};

#[tokio::test]
async fn each_right_that_is_missing_is_named_with_what_to_do() {
    let database = guided().await;
    let (role, url) = (database.role("worker"), url_of(&database, "worker"));
    let store = PostgresStore::open(url.as_str(), 2).await.unwrap();
    store.try_writing().await.unwrap();
    for (right, what) in [
        ("INSERT", "galleries"),
        ("UPDATE", "gallery_profiles"),
        ("UPDATE", "sources"),
        ("INSERT", "images"),
        ("INSERT", "results"),
        ("UPDATE", "results"),
        ("DELETE", "faces"),
        ("INSERT", "templates"),
        ("DELETE", "templates"),
        ("INSERT", "campaign_outcomes"),
        ("INSERT", "campaign_jobs"),
        ("INSERT", "workers"),
        ("DELETE", "workers"),
        ("SELECT", "tombstones"),
        ("DELETE", "removed_images"),
        ("SELECT", "facefleet_active_profiles"),
        ("USAGE", "SEQUENCE results_id_seq"),
        ("EXECUTE", "FUNCTION add_profile(text, text)"),
    ] {
        let qualified = match what.split_once(' ') {
            Some((kind, name)) => format!("{kind} facefleet.{name}"),
            None => format!("facefleet.{what}"),
        };
        database.run(&format!("REVOKE {right} ON {qualified} FROM {role}")).await;
        let error = store.try_writing().await.unwrap_err();
        let remedy = format!("GRANT {right} ON {what} TO {role}");
        assert!(
            matches!(&error, StoreError::Unusable(why) if why.contains(&remedy)),
            "{right} on {what}: {error}"
        );
        database.run(&format!("GRANT {right} ON {qualified} TO {role}")).await;
        store.try_writing().await.unwrap();
    }
}

#[tokio::test]
async fn a_trial_leaves_nothing_behind_draws_no_id_and_waits_for_no_lock() {
    let database = guided().await;
    let store = PostgresStore::open(url_of(&database, "worker").as_str(), 2).await.unwrap();
    store.register_profile(&profile("a")).await.unwrap();
    for _ in 0..3 {
        store.try_writing().await.unwrap();
    }
    let mut owner = PgConnection::connect(url_of(&database, "owner").as_str()).await.unwrap();
    for table in [
        "galleries",
        "gallery_profiles",
        "sources",
        "images",
        "results",
        "faces",
        "templates",
        "campaigns",
        "workers",
    ] {
        let count: i64 =
            sqlx::query_scalar(sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}")))
                .fetch_one(&mut owner)
                .await
                .unwrap();
        assert_eq!(count, 0, "{table}");
    }
    let drawn: bool = sqlx::query_scalar(
        "SELECT (SELECT is_called FROM images_id_seq) OR (SELECT is_called FROM results_id_seq)",
    )
    .fetch_one(&mut owner)
    .await
    .unwrap();
    assert!(!drawn);

    let mut transaction = owner.begin().await.unwrap();
    sqlx::query("LOCK TABLE results IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *transaction)
        .await
        .unwrap();
    let error = timeout(Duration::from_secs(60), store.try_writing())
        .await
        .expect("it should not wait")
        .unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    transaction.rollback().await.unwrap();
    // And it blocks no other transaction.
    let records = [scored("one", &[10])];
    let (tried, recorded) = tokio::join!(store.try_writing(), store.record(&records));
    tried.unwrap();
    recorded.unwrap();
}

#[tokio::test]
async fn only_the_owner_may_erase_and_workers_know_what_was_erased() {
    let database = guided().await;
    let open = |role: &str| {
        let url = url_of(&database, role);
        async move { PostgresStore::open(url.as_str(), 2).await.unwrap() }
    };
    let (worker, owner) = (open("worker").await, open("owner").await);
    worker.register_profile(&profile("a")).await.unwrap();
    worker.record(&[scored("one", &[50])]).await.unwrap();
    let erasure = NewErasure {
        gallery: gallery(),
        target: ErasureTarget::Image(uri("one")),
        by: "Olga".parse().unwrap(),
    };
    let refused = worker.erase(&erasure).await.unwrap_err();
    assert!(refused.to_string().contains("only the role that owns the schema"), "{refused}");
    owner.erase(&erasure).await.unwrap();
    owner.rewrite().await.unwrap();
    let recorded = worker.record(&[scored("one", &[50])]).await.unwrap();
    assert!(recorded[0].is_erased());
    let hash = content(b"two").unwrap().hash;
    let known = worker.ends_erased(&job(Lane::Scan, "one"), hash).await.unwrap();
    assert_eq!(known, Some(true));
    let may = [worker.may_remove().await.unwrap(), owner.may_remove().await.unwrap()];
    assert_eq!(may, [false, true], "who may do what retention asks for");
}
