//! What only the Postgres store promises: concurrent writers, roles with few rights, an index that
//! is built separately, and clear errors about unsuitable servers.

mod holding_off;
mod indexes;
mod meeting;
mod refusals;
pub mod restoring;
mod rights;
pub mod roles;
mod templates;

use std::sync::Arc;

use facefleet::store::Results;
use facefleet::store::postgres::PostgresStore;
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::support::profile;
use crate::support::stack::Database;

/// A store in which the profiles `a` and `b` are registered.
async fn opened(database: &Database) -> Arc<PostgresStore> {
    let store = PostgresStore::open(&database.url, 4).await.unwrap();
    store.register_profile(&profile("a")).await.unwrap();
    store.register_profile(&profile("b")).await.unwrap();
    Arc::new(store)
}

/// The number that a query returns, bypassing the store.
async fn number(database: &Database, question: &str) -> i64 {
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    let number = sqlx::query_scalar(AssertSqlSafe(question.to_owned()))
        .fetch_one(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
    number
}
