//! Speed and memory of `facefleet export`, and the time of a remap: `cargo bench --bench export --
//! [ROWS]`, in `SQLite`, and in the database of `FACEFLEET__STORE__URL` if it is set, in a new
//! schema that is dropped at the end.
//!
//! Each image has one scored face with a template of 128 components. Each format is exported twice,
//! and the faster run counts; its memory is the most that the process held. At last all results are
//! copied to a profile with another mapping.
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod made;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use facefleet::domain::{JobId, Mapping};
use facefleet::gallery::remap::RemapPlan;
use facefleet::quality::calibration::Calibration;
use facefleet::store::postgres::PostgresStore;
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{Maintenance, Results, Store};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio_util::sync::CancellationToken;
use url::Url;

const BATCH: usize = 512;
const FORMATS: [(&str, bool); 5] =
    [("csv", true), ("jsonl", true), ("parquet", true), ("csv", false), ("parquet", false)];

async fn fill(store: &impl Results, count: usize) {
    store.register_profile(&made::profile()).await.unwrap();
    let start = Instant::now();
    for first in (0..count).step_by(BATCH) {
        let numbers = first..count.min(first + BATCH);
        let records: Vec<_> = numbers.map(|number| made::record(&format!("{number:08}"))).collect();
        store.record(&records).await.unwrap();
    }
    println!("recorded {:.0} rows a second", count as f64 / start.elapsed().as_secs_f64());
}

/// One run: its seconds, and the most memory that it held, in MiB.
fn run(store: &str, format: &str, templates: bool, out: &Path) -> (f64, f64) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_facefleet"));
    command.args(["export", "--gallery", "bench", "--format", format, "--out"]).arg(out);
    command.args(templates.then_some("--templates")).env("FACEFLEET__STORE__URL", store);
    let start = Instant::now();
    let mut process = command.spawn().unwrap();
    let status = format!("/proc/{}/status", process.id());
    let mut peak = 0.0_f64;
    let ended = loop {
        if let Some(ended) = process.try_wait().unwrap() {
            break ended;
        }
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let most = text.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
        let kib: f64 = most.trim().trim_end_matches(" kB").parse().unwrap_or_default();
        peak = peak.max(kib / 1024.0);
        std::thread::sleep(Duration::from_millis(5));
    };
    assert!(ended.success(), "export --format {format}");
    (start.elapsed().as_secs_f64(), peak)
}

fn measure(what: &str, store: &str, count: usize, folder: &Path) {
    println!("{what:10} templates    rows/s   to CSV   MiB held   MB written");
    let mut to_csv = 0.0;
    for (format, templates) in FORMATS {
        let out = folder.join(format!("faces.{format}"));
        let runs = [(); 2].map(|()| run(store, format, templates, &out));
        let seconds = runs[0].0.min(runs[1].0);
        let peak = runs[0].1.max(runs[1].1);
        let rate = count as f64 / seconds;
        if format == "csv" {
            to_csv = rate;
        }
        let written = out.metadata().unwrap().len() as f64 / 1e6;
        println!(
            "{format:10} {templates:9} {rate:9.0} {:8.2} {peak:10.0} {written:12.0}",
            rate / to_csv
        );
        std::fs::remove_file(out).unwrap();
    }
}

/// Copies the results to a profile with another mapping, and prints how long it took.
async fn remap(store: &dyn Store) {
    let mapping = Mapping::Logistic { alpha: 90.0, r: 0.85 };
    let calibration = Calibration::new(&made::profile(), mapping, None);
    let gallery = "bench".parse().unwrap();
    let plan = RemapPlan::new(store, &gallery, None, &calibration).await.unwrap();
    let start = Instant::now();
    let done = plan.run(store, &CancellationToken::new(), |_| ()).await.unwrap();
    let seconds = start.elapsed().as_secs_f64();
    println!("remap of {} faces: {seconds:.1} s", done.faces);
}

async fn execute(url: &str, sql: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

#[tokio::main]
async fn main() {
    let count: usize = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .next_back()
        .unwrap_or(1_000_000);
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let url = format!("sqlite:{}", folder.path().join("export.db").display());
    let store = SqliteStore::open(&url).await.unwrap();
    fill(&store, count).await;
    store.close().await;
    measure("SQLite", &url, count, folder.path());
    let store = SqliteStore::open(&url).await.unwrap();
    remap(&store).await;
    store.close().await;

    let Ok(server) = std::env::var("FACEFLEET__STORE__URL") else { return };
    let schema = format!("bench_{}", JobId::new().0.simple());
    execute(&server, &format!("CREATE EXTENSION IF NOT EXISTS vector; CREATE SCHEMA {schema}"))
        .await;
    let mut url = Url::parse(&server).unwrap();
    url.query_pairs_mut().append_pair("options[search_path]", &format!("{schema},public"));
    let store = PostgresStore::open(url.as_str(), 4).await.unwrap();
    fill(&store, count).await;
    store.close().await;
    execute(&server, "VACUUM ANALYZE").await;
    measure("Postgres", url.as_str(), count, folder.path());
    let store = PostgresStore::open(url.as_str(), 4).await.unwrap();
    remap(&store).await;
    store.close().await;
    execute(&server, &format!("DROP SCHEMA {schema} CASCADE")).await;
}
