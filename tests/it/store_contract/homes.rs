//! Where a test has its store, with each backend.

use std::sync::Arc;

use facefleet::store::Store;
use facefleet::store::postgres::PostgresStore;
use facefleet::store::sqlite::SqliteStore;
use serde_json::Value;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};
use tempfile::TempDir;

use super::{Home, views};
use crate::support::stack::Database;

/// A file in its own folder.
pub struct SqliteHome(TempDir);

impl Home for SqliteHome {
    async fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(
            SqliteStore::open(&format!("sqlite:{}", self.0.path().join("faces.db").display()))
                .await
                .unwrap(),
        )
    }

    async fn view(&self, name: &str) -> Vec<Value> {
        views::of_sqlite(&self.0.path().join("faces.db"), name).await
    }

    async fn change(&self, sqlite: &str, _: &str) {
        let file = SqliteConnectOptions::new().filename(self.0.path().join("faces.db"));
        let mut connection = file.connect().await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(sqlite.to_owned())).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

/// An own database on the server of the stack.
pub struct PostgresHome(Database);

impl Home for PostgresHome {
    async fn new() -> Self {
        Self(Database::new().await)
    }

    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(PostgresStore::open(&self.0.url, 4).await.unwrap())
    }

    async fn view(&self, name: &str) -> Vec<Value> {
        views::of_postgres(&self.0.url, name).await
    }

    async fn change(&self, _: &str, postgres: &str) {
        self.0.run(postgres).await;
    }
}
