//! Who changes subjects or gives verdicts waits for an erasure before it locks any row.

use std::pin::pin;

use facefleet::domain::{ReferenceRules, ReferenceState, SetAsideReason, Verdict};
use facefleet::store::{Curation, NewCuration, Results, StoreError, Subjects};
use sqlx::{Connection, PgConnection};

use super::opened;
use crate::store_contract::enrolments::{enrolment, name};
use crate::support::stack::Database;
use crate::support::{gallery, operator};

/// Who waits for an erasure, or to begin one.
pub(super) const WAITING: &str =
    "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";
/// What somebody has who locked or wrote a row. The server itself may tidy up meanwhile.
const ROW_LOCKS: &str = "SELECT count(*) FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE backend_type = 'client backend' AND locktype = 'relation'
    AND mode IN ('RowShareLock', 'RowExclusiveLock') AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())";

/// Does `change` while an erasure is under way: it must wait, without a lock of a row.
async fn assert_waits<T>(
    database: &Database,
    change: impl Future<Output = Result<T, StoreError>>,
) -> T {
    let mut erasing = PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql("BEGIN").execute(&mut erasing).await.unwrap();
    let keep_out = include_str!("../../../src/store/postgres/sql/keep_out.sql");
    sqlx::raw_sql(keep_out).execute(&mut erasing).await.unwrap();
    let mut change = pin!(change);
    let waits = async {
        let count = async |erasing: &mut PgConnection, question: &'static str| -> i64 {
            sqlx::query_scalar(question).fetch_one(erasing).await.unwrap()
        };
        while count(&mut erasing, WAITING).await == 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(count(&mut erasing, ROW_LOCKS).await, 0);
    };
    tokio::select! {
        _ = &mut change => panic!("it did not wait"),
        () = waits => {}
    }
    sqlx::raw_sql("COMMIT").execute(&mut erasing).await.unwrap();
    change.await.unwrap()
}

#[tokio::test]
async fn subjects_and_verdicts_wait_for_an_erasure() {
    let database = Database::new().await;
    let store = opened(&database).await;
    let records = [enrolment("one", "Ann", 60, 0.0), enrolment("two", "Bob", 60, 90.0)];
    let image = store.record(&records).await.unwrap()[0].image;
    let gallery = gallery();
    let exclude = NewCuration {
        gallery: gallery.clone(),
        by: "ann".parse().unwrap(),
        reason: None,
        verdicts: vec![(image, Verdict::Exclude)],
        exact: true,
        rules: Some(ReferenceRules { most: 5, margin: 5.0 }),
    };
    assert_waits(&database, store.judge(&exclude)).await;
    let (ann, rob) = (name("Ann"), name("Rob"));
    let aside = ReferenceState::SetAside(SetAsideReason::Operator);
    assert_waits(&database, store.set_reference(&gallery, &ann, image, aside, &operator())).await;
    assert_waits(&database, store.rename_subject(&gallery, &ann, &rob, None, None, &operator()))
        .await;
    let removed =
        assert_waits(&database, store.remove_subject(&gallery, &rob, None, &operator())).await;
    assert_eq!(removed.map(|summary| summary.name), Some(rob));
}
