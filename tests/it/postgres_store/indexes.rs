//! Queries that must not read every image.

use sqlx::query::QueryAs;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Postgres};

use super::opened;
use crate::support::scored;
use crate::support::stack::Database;
use facefleet::store::Results;

/// The plan of a query, where indexes are used that can be.
async fn plan(
    connection: &mut PgConnection,
    query: &str,
    bind: impl FnOnce(Explained<'_>) -> Explained<'_>,
) -> String {
    let explain = format!("EXPLAIN {query}");
    let lines = bind(sqlx::query_as(AssertSqlSafe(explain))).fetch_all(connection).await.unwrap();
    lines.into_iter().map(|(line,)| line).collect::<Vec<_>>().join("\n")
}

type Explained<'q> = QueryAs<'q, Postgres, (String,), <Postgres as sqlx::Database>::Arguments>;

#[tokio::test]
async fn images_of_the_same_bytes_are_found_by_an_index() {
    let database = Database::new().await;
    opened(&database).await.record(&[scored("one", &[10])]).await.unwrap();
    let mut connection = PgConnection::connect(&database.url).await.unwrap();
    // As if there were many images.
    let prepare = "SET enable_seqscan = off; SET enable_bitmapscan = off;
        SET enable_mergejoin = off; SET enable_hashjoin = off;
        CREATE TEMP TABLE erased_images (id bigint PRIMARY KEY)";
    sqlx::raw_sql(prepare).execute(&mut connection).await.unwrap();
    let hashes = vec![vec![0_u8; 32]];
    let plans = [
        plan(
            &mut connection,
            include_str!("../../../src/store/postgres/sql/held_elsewhere.sql"),
            |query| query.bind("staff").bind(hashes),
        )
        .await,
        plan(
            &mut connection,
            include_str!("../../../src/store/postgres/sql/removed_contents.sql"),
            |query| query,
        )
        .await,
        plan(
            &mut connection,
            include_str!("../../../src/store/postgres/sql/chosen_contents.sql"),
            |query| query.bind(1_i64),
        )
        .await,
        plan(
            &mut connection,
            include_str!("../../../src/store/postgres/sql/owners.sql"),
            |query| query.bind(vec![1_i64]),
        )
        .await,
    ];
    for plan in plans {
        assert!(plan.contains("images_by_content"), "{plan}");
    }
}
