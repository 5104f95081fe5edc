//! Rate of recording results in Postgres: `cargo bench --bench store -- [RECORDS]`, on the database
//! of `FACEFLEET__STORE__URL`, in a new schema that is dropped at the end.
//!
//! Each record has one scored face with a template of 128 components, of a new image. The records
//! are made before the measurement starts.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod made;

use std::sync::Arc;
use std::time::Instant;

use facefleet::domain::JobId;
use facefleet::store::postgres::PostgresStore;
use facefleet::store::{Maintenance, Results};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

use made::{profile, record};

const BATCHES: [usize; 3] = [256, 32, 1];

/// Records a second, with `tasks` concurrent writers.
async fn measure(
    store: &Arc<PostgresStore>,
    what: &str,
    count: usize,
    batch: usize,
    tasks: usize,
) -> f64 {
    let records: Vec<_> =
        (0..count).map(|number| record(&format!("{what}/{batch}/{tasks}/{number}"))).collect();
    let share = count.div_ceil(tasks);
    let start = Instant::now();
    let writers: Vec<_> = records
        .chunks(share)
        .map(|records| {
            let (store, records) = (Arc::clone(store), records.to_vec());
            tokio::spawn(async move {
                for batch in records.chunks(batch) {
                    store.record(batch).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    count as f64 / start.elapsed().as_secs_f64()
}

async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::main]
async fn main() {
    let count: usize =
        std::env::args().filter_map(|argument| argument.parse().ok()).next_back().unwrap_or(50_000);
    let server = std::env::var("FACEFLEET__STORE__URL").unwrap();
    let schema = format!("bench_{}", JobId::new().0.simple());
    execute(&server, &format!("CREATE EXTENSION IF NOT EXISTS vector; CREATE SCHEMA {schema}"))
        .await;
    let mut url = Url::parse(&server).unwrap();
    url.query_pairs_mut().append_pair("options[search_path]", &format!("{schema},public"));
    let store = Arc::new(PostgresStore::open(url.as_str(), 4).await.unwrap());
    store.register_profile(&profile()).await.unwrap();
    println!("records a second   batch   writers   index");
    for index in ["none", "hnsw"] {
        let batches = if index == "none" { &BATCHES[..] } else { &BATCHES[..1] };
        for &batch in batches {
            for tasks in [1, 2] {
                let rate = measure(&store, index, count.min(batch * 2000), batch, tasks).await;
                println!("{rate:16.0} {batch:7} {tasks:9}   {index}");
            }
        }
        if index == "none" {
            let start = Instant::now();
            PostgresStore::migrate(url.as_str()).await.unwrap();
            println!("the index was built in {:.1} s", start.elapsed().as_secs_f64());
        }
    }
    store.close().await;
    execute(&server, &format!("DROP SCHEMA {schema} CASCADE")).await;
}
