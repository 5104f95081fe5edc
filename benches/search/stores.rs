//! The command with a `SQLite` store, and pgvector's HNSW.

use std::process::Command;
use std::time::Instant;

use facefleet::app::App;
use facefleet::domain::{JobId, JobRecord, Profile, Template};
use facefleet::settings::Settings;
use facefleet::store::postgres::PostgresStore;
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{Maintenance, Results};
use pgvector::HalfVector;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use url::Url;

use super::{K, embedding, made, recall, tell};

const BATCH: usize = 512;

async fn fill(store: &impl Results, profile: &Profile, count: usize) {
    store.register_profile(profile).await.unwrap();
    for first in (0..count).step_by(BATCH) {
        let record = |number: usize| -> JobRecord {
            made::record_of(&format!("{number:08}"), profile.id(), &embedding(number))
        };
        let records: Vec<_> = (first..count.min(first + BATCH)).map(record).collect();
        store.record(&records).await.unwrap();
    }
}

/// Prints how long `facefleet search` takes with a `SQLite` store of `count` templates, from its
/// start to its end.
pub async fn command(count: usize) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let url = format!("sqlite:{}", folder.path().join("search.db").display());
    let store = SqliteStore::open(&url).await.unwrap();
    let profile = App::new(Settings::load(None).unwrap()).profile(false).unwrap();
    fill(&store, &profile, count).await;
    store.close().await;
    let photo = concat!(env!("CARGO_MANIFEST_DIR"), "/.facefleet/samples/astronaut.png");
    for run in 1..=3 {
        let start = Instant::now();
        let output = Command::new(env!("CARGO_BIN_EXE_facefleet"))
            .args(["search", photo, "--gallery", "bench"])
            .env("FACEFLEET__STORE__URL", &url)
            .output()
            .unwrap();
        let seconds = start.elapsed().as_secs_f64();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        println!("facefleet search, SQLite, run {run}: {seconds:.2} s");
    }
}

async fn execute(connection: &mut PgConnection, sql: &str) {
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(connection).await.unwrap();
}

/// Prints the speed and recall of the HNSW index that `facefleet migrate` builds.
pub async fn hnsw(server: &str, count: usize, probes: &[Template], exact: &[Vec<u64>]) {
    let schema = format!("bench_{}", JobId::new().0.simple());
    let mut connection = PgConnection::connect(server).await.unwrap();
    execute(
        &mut connection,
        &format!("CREATE EXTENSION IF NOT EXISTS vector; CREATE SCHEMA {schema}"),
    )
    .await;
    let mut url = Url::parse(server).unwrap();
    url.query_pairs_mut().append_pair("options[search_path]", &format!("{schema},public"));
    let store = PostgresStore::open(url.as_str(), 4).await.unwrap();
    let profile = made::profile();
    fill(&store, &profile, count).await;
    store.close().await;
    execute(&mut connection, &format!("SET search_path = {schema}, public")).await;
    execute(&mut connection, "SET maintenance_work_mem = '2GB'").await;
    execute(&mut connection, "VACUUM ANALYZE").await;
    let table = format!("templates_{}", profile.id());
    let start = Instant::now();
    execute(
        &mut connection,
        &format!("CREATE INDEX ON {table} USING hnsw ((vector::halfvec(128)) halfvec_ip_ops)"),
    )
    .await;
    println!("pgvector, HNSW: built in {:.0} s", start.elapsed().as_secs_f64());
    execute(&mut connection, "SET hnsw.iterative_scan = strict_order").await;
    for ef in [40, 100, 200] {
        execute(&mut connection, &format!("SET hnsw.ef_search = {ef}")).await;
        let query = format!(
            "SELECT i.uri FROM (SELECT result_id FROM {table} ORDER BY \
             vector::halfvec(128) <#> $1::halfvec(128) LIMIT {K}) t \
             JOIN results r ON r.id = t.result_id JOIN images m ON m.id = r.image_id \
             JOIN sources i ON i.gallery_id = m.gallery_id AND i.uri_key = m.uri_key"
        );
        let (mut ms, mut found) = (Vec::new(), Vec::new());
        for probe in probes {
            let start = Instant::now();
            let uris: Vec<String> = sqlx::query_scalar(AssertSqlSafe(query.clone()))
                .bind(HalfVector::from(probe.to_halves()))
                .fetch_all(&mut connection)
                .await
                .unwrap();
            ms.push(start.elapsed().as_secs_f64() * 1e3);
            let number = |uri: &String| -> u64 {
                uri.rsplit('/').next().unwrap().trim_end_matches(".jpg").parse().unwrap()
            };
            found.push(uris.iter().map(number).collect());
        }
        tell(&format!("pgvector, HNSW, ef_search {ef}"), ms, recall(&found, exact));
    }
    execute(&mut connection, &format!("DROP SCHEMA {schema} CASCADE")).await;
}
