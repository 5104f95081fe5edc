//! Templates: what the schema refuses, the separately built index, and retired profiles.

use facefleet::domain::{CoverageCounts, JobRecord};
use facefleet::store::postgres::PostgresStore;
use facefleet::store::{
    Effect, NewActivation, Profiles, Reading, Results, RetireStep, Retirements, StoreError,
};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use super::holding_off::WAITING;
use super::{number, opened};
use crate::support::stack::Database;
use crate::support::{effects, gallery, profile, scored, with_job};

#[tokio::test]
async fn the_schema_refuses_impossible_templates_and_results() {
    let database = Database::new().await;
    opened(&database).await.record(&[scored("one", &[10])]).await.unwrap();
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    for vector in ["NULL", "'[0,0]'", "'[NaN,1]'", "'[Infinity,0]'", "'[2,0]'", "'[0.1,0.1]'"] {
        let insert = format!(
            "INSERT INTO templates SELECT profile_id, result_id, 7, {vector} FROM templates"
        );
        assert!(
            sqlx::raw_sql(AssertSqlSafe(insert)).execute(&mut connection).await.is_err(),
            "{vector}"
        );
    }
    for wrong in [
        "UPDATE faces SET quality = 101",
        "UPDATE faces SET score = NULL",
        "UPDATE images SET content_hash = '\\x00'",
        "UPDATE results SET image_id = 99",
        "INSERT INTO templates VALUES ('ffffffffffffffff', 1, 0, '[1,0]')",
    ] {
        assert!(sqlx::raw_sql(wrong).execute(&mut connection).await.is_err(), "{wrong}");
    }
}

#[tokio::test]
async fn an_index_is_built_once_for_each_profile_with_templates_and_finds_them() {
    let database = Database::new().await;
    let store = opened(&database).await;
    let records: Vec<_> =
        (0..100).map(|quality| scored(&quality.to_string(), &[quality])).collect();
    store.record(&records).await.unwrap();
    assert_eq!(PostgresStore::migrate(&database.url).await.unwrap(), 1);
    assert_eq!(PostgresStore::migrate(&database.url).await.unwrap(), 0);
    // Recording goes on.
    assert_eq!(effects(store.record(&[scored("more", &[100])]).await), [Effect::New]);

    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql("SET enable_seqscan = off; SET enable_sort = off")
        .execute(&mut connection)
        .await
        .unwrap();
    let a = profile("a").id();
    let search = format!(
        "SELECT result_id FROM templates WHERE profile_id = '{a}' ORDER BY vector::halfvec(128) \
            <#> \
         (SELECT vector::halfvec(128) FROM templates ORDER BY result_id DESC LIMIT 1) LIMIT 1"
    );
    let plan: Vec<String> = sqlx::query_scalar(AssertSqlSafe(format!("EXPLAIN {search}")))
        .fetch_all(&mut connection)
        .await
        .unwrap();
    assert!(plan.iter().any(|line| line.contains(&format!("templates_{a}_hnsw"))), "{plan:?}");
    let found: i64 =
        sqlx::query_scalar(AssertSqlSafe(search)).fetch_one(&mut connection).await.unwrap();
    assert_eq!(found, number(&database, "SELECT max(result_id) FROM templates").await);
}

#[tokio::test]
async fn a_half_built_index_is_built_again() {
    let database = Database::new().await;
    opened(&database).await.record(&[scored("one", &[10])]).await.unwrap();
    PostgresStore::migrate(&database.url).await.unwrap();
    // As a process leaves it that dies in the middle.
    database
        .run(
            "UPDATE pg_index SET indisvalid = false WHERE indexrelid::regclass::text LIKE '%_hnsw'",
        )
        .await;
    assert_eq!(PostgresStore::migrate(&database.url).await.unwrap(), 1);
    let valid = "SELECT count(*) FROM pg_index WHERE indisvalid AND indexrelid::regclass::text \
        LIKE '%_hnsw'";
    assert_eq!(number(&database, valid).await, 1);
}

#[tokio::test]
async fn retiring_a_profile_deletes_its_partition_and_results_and_nothing_else() {
    let database = Database::new().await;
    let store = opened(&database).await;
    let (a, b) = (profile("a").id(), profile("b").id());
    let under_b = |record: JobRecord| JobRecord { profile: b.clone(), ..record };
    let records = [scored("one", &[10]), scored("two", &[20]), under_b(scored("one", &[30]))];
    let recorded = store.record(&records).await.unwrap();
    database.run(&format!("CALL retire_profile('{a}')")).await;
    assert_eq!(store.galleries().await.unwrap(), [(gallery(), vec![b.clone()])]);
    assert_eq!(store.summary(&gallery(), &a).await.unwrap().faces, 0);
    assert_eq!(store.summary(&gallery(), &b).await.unwrap().faces, 1);
    assert_eq!(number(&database, "SELECT count(*) FROM templates").await, 1);
    assert_eq!(number(&database, "SELECT count(*) FROM images").await, 2);
    let partitions = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'templates'::regclass";
    assert_eq!(number(&database, partitions).await, 1);

    // A worker that still runs with it gets an error; one that starts with it registers it again.
    let error = store.record(&[scored("one", &[10])]).await.unwrap_err();
    assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
    store.register_profile(&profile("a")).await.unwrap();
    let again = store.record(&[scored("one", &[10])]).await.unwrap().remove(0);
    assert_eq!(again.effect, Effect::New);
    assert_eq!(again.image, recorded[0].image, "an image outlives profiles");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_gallery_records_first_while_a_profile_is_retired_stays() {
    let database = Database::new().await;
    let store = opened(&database).await;
    let b = profile("b").id();
    let under_b = |record: JobRecord| JobRecord { profile: profile("b").id(), ..record };
    let elsewhere = |record: JobRecord| {
        with_job(under_b(record), |job| job.gallery = "elsewhere".parse().unwrap())
    };
    store.record(&[scored("one", &[10]), under_b(scored("one", &[10]))]).await.unwrap();
    store
        .record(&[JobRecord { profile: profile("a").id(), ..elsewhere(scored("one", &[10])) }])
        .await
        .unwrap();
    let new = NewActivation {
        gallery: gallery(),
        profile: profile("a").id(),
        instead_of: b.clone(),
        coverage: CoverageCounts { images: 1, covered: 1, references: 0, lost_references: 0 },
        by: "ann".parse().unwrap(),
        forced: false,
    };
    assert!(store.activate(&new).await.unwrap());
    let step = store.retire(&gallery(), &b, 0).await.unwrap();
    let RetireStep::Deleted { next, .. } = step else { panic!("{step:?}") };
    // A worker is about to record the first result of another gallery.
    let mut worker = PgConnection::connect(&database.url).await.unwrap();
    let begin = format!(
        "BEGIN; {}; INSERT INTO gallery_profiles (gallery_id, profile_id) \
         SELECT id, '{b}' FROM galleries WHERE name = 'elsewhere'",
        include_str!("../../../src/store/postgres/sql/hold_off_erasures.sql")
    );
    sqlx::raw_sql(AssertSqlSafe(begin)).execute(&mut worker).await.unwrap();
    let retiring = tokio::spawn({
        let (store, b) = (store.clone(), b.clone());
        async move { store.retire(&gallery(), &b, next).await }
    });
    let mut watcher = PgConnection::connect(&database.url).await.unwrap();
    while !retiring.is_finished()
        && sqlx::query_scalar::<_, i64>(WAITING).fetch_one(&mut watcher).await.unwrap() == 0
    {
        tokio::task::yield_now().await;
    }
    assert!(!retiring.is_finished(), "it does not look before the worker has written");
    sqlx::raw_sql("COMMIT").execute(&mut worker).await.unwrap();
    assert_eq!(retiring.await.unwrap().unwrap(), RetireStep::Done);
    let recorded = store.record(&[elsewhere(scored("two", &[10]))]).await;
    assert_eq!(effects(recorded), [Effect::New], "its templates have a place");
}
