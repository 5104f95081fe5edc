//! A story: a gallery is curated, and people are forgotten.
//!
//! Photos are scanned and people enrolled; a wrong name and many copies are found, decided, taken
//! back and decided again; files are moved and deleted; a person is erased while a scan and a
//! re-score run that have their photos; a backup from before is put back, and the erasure is done
//! again. Each step is a command that people run: in processes of one machine with `SQLite`, and in
//! a fleet with `RabbitMQ` and Postgres.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use facefleet::domain::{CampaignId, Lane};
use facefleet::store::Store;
use facefleet::store::postgres::PostgresStore;
use facefleet::store::sqlite::SqliteStore;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};
use tokio::time::{sleep, timeout};

use crate::faults;
use crate::postgres_store::restoring::tool;
use crate::story_profiles::stage::{EMPTY, Model, NEWCOMER, PEOPLE, Process, SHOTS, STAFF, Stage};
use crate::support::stack::Database;

/// Images that are there from the beginning, and images that come before the erasure.
const CROWD: usize = 60;
const LATE: usize = 600;
/// Whatever the story waits for happens within this time.
const PATIENCE: Duration = Duration::from_secs(180);
/// Who is erased. It is a part of no other text.
const ERASED: &str = "joe";
/// A photo of the erased person under the name of another.
const SWAP: &str = "photos/swap.jpg";
/// Images of the erased person: those that were enrolled, and the moved one in both its places.
const IMAGES_ERASED: u64 = SHOTS as u64 + 2;
/// More similar templates are of one person.
const SAME: &str = "0.98";

/// The backup of a store.
enum Backup {
    Sqlite(PathBuf),
    Postgres(Database),
}

impl Backup {
    fn file(&self, stage: &Stage) -> PathBuf {
        match self {
            Self::Sqlite(_) => stage.sandbox.path("backup.db"),
            Self::Postgres(_) => stage.sandbox.path("backup.dump"),
        }
    }

    async fn make(&self, stage: &Stage) {
        let file = self.file(stage).to_str().unwrap().to_owned();
        match self {
            Self::Sqlite(store) => {
                let url = format!("sqlite:{}", store.display());
                let mut connection = SqliteConnection::connect(&url).await.unwrap();
                let vacuum = sqlx::query("VACUUM INTO ?1").bind(file);
                vacuum.execute(&mut connection).await.unwrap();
                connection.close().await.unwrap();
            }
            Self::Postgres(database) => {
                tool("pg_dump", &["--format=custom", "--file", &file, &database.url]);
            }
        }
    }

    /// Puts it back. Nobody uses the store.
    async fn put_back(&self, stage: &Stage) {
        let file = self.file(stage);
        match self {
            Self::Sqlite(store) => {
                for ending in ["-wal", "-shm"] {
                    std::fs::remove_file(format!("{}{ending}", store.display())).ok();
                }
                std::fs::copy(file, store).unwrap();
            }
            Self::Postgres(database) => {
                database.run("DROP SCHEMA public CASCADE; CREATE SCHEMA public").await;
                tool("pg_restore", &["--dbname", &database.url, file.to_str().unwrap()]);
            }
        }
    }

    async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(file) => {
                let url = format!("sqlite:{}", file.display());
                Arc::new(SqliteStore::open(&url).await.unwrap())
            }
            Self::Postgres(database) => {
                Arc::new(PostgresStore::open(&database.url, 4).await.unwrap())
            }
        }
    }
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("no {key} in {value}"))
}

/// A command's only line of JSON.
fn line(stage: &Stage, arguments: &[&str]) -> Value {
    let mut lines = stage.json(Model::Old, arguments);
    assert_eq!(lines.len(), 1, "{lines:?}");
    lines.remove(0)
}

/// The rows of a view, and its preview.
fn view(stage: &Stage, arguments: &[&str]) -> (Vec<Value>, Value) {
    let view = [&["curate"], arguments, &["--limit", "5000"]].concat();
    let mut lines = stage.json(Model::Old, &view);
    let preview = lines.pop().unwrap();
    assert_eq!(number(&preview, "suggestions"), lines.len() as u64);
    (lines, preview)
}

/// The names of what an export has.
fn exported(stage: &Stage) -> BTreeSet<String> {
    stage.export(None).into_keys().collect()
}

fn scan(stage: &Stage, more: &[&str]) -> Value {
    stage.summary(Model::Old, &[&["scan", "photos", "--wait"], more].concat())
}

/// The gallery: a crowd, and people with a wrong name among their photos.
fn begin(stage: &Stage) {
    let scanned = scan(stage, &[]);
    let empty = (CROWD / EMPTY) as u64;
    let outcomes = [&scanned["outcomes"]["scored"], &scanned["outcomes"]["no_face"]];
    assert_eq!(outcomes, [&json!(CROWD as u64 - empty), &json!(empty)], "{scanned}");
    let people = PEOPLE.map(|(person, _)| person);
    let enrolled = stage.enrol(&[&people[..], &[NEWCOMER]].concat());
    assert_eq!(number(&enrolled, "accepted"), (people.len() as u64 + 1) * SHOTS as u64);
    let probe = std::fs::read(stage.sandbox.path(&format!("{ERASED}-probe.jpg"))).unwrap();
    stage.sandbox.write(SWAP, &probe);
    stage.sandbox.write("swap.csv", format!("file,subject\n{SWAP},ann\n").as_bytes());
    let swapped = ["scan", "--from", "swap.csv", "--root", "photos", "--wait"];
    let swapped = stage.summary(Model::Old, &swapped);
    assert_eq!(swapped["outcomes"]["scored"], 1, "{swapped}");
}

/// What a view suggests is applied, taken back, and applied again under the same name.
fn apply_undo_apply(stage: &Stage, arguments: &[&str]) -> Vec<Value> {
    let before = stage.export(None);
    let (rows, preview) = view(stage, arguments);
    let name = preview["preview"].as_str().unwrap();
    let apply = [&["curate"], arguments, &["--limit", "5000", "--apply", name]].concat();
    let applied = line(stage, &apply);
    assert_eq!(applied["verdicts"], preview["verdicts"], "{applied}");
    assert_ne!(stage.export(None), before);
    let curation = applied["curation_id"].to_string();
    line(stage, &["curate", "undo", "--curation", &curation]);
    assert_eq!(stage.export(None), before, "all as it was");
    assert_eq!(view(stage, arguments).1["preview"], name);
    line(stage, &apply);
    rows
}

fn curate(stage: &Stage) {
    let rows = apply_undo_apply(stage, &["outliers", "--min-similarity", SAME]);
    let [row] = &rows[..] else { panic!("{rows:#?}") };
    assert!(row["image"].as_str().unwrap().ends_with(SWAP), "{row}");
    assert_eq!([&row["suggestion"], &row["subject_suggested"]], ["reassign", ERASED]);

    line(stage, &["curate", "keep", SWAP]);
    let before = exported(stage);
    let rows = apply_undo_apply(stage, &["duplicates"]);
    let excluded = rows.iter().filter(|row| row["suggestion"] == "exclude").count();
    // All but the best of each kind.
    assert!(excluded >= CROWD - CROWD / EMPTY - PEOPLE.len(), "{excluded}");
    assert_eq!(exported(stage).len(), before.len() - excluded);
}

/// Photos are moved, and others deleted.
fn move_and_prune(stage: &Stage) {
    let mut left = exported(stage);
    let photo = |name: &str| stage.sandbox.path(&format!("photos/{name}"));
    std::fs::create_dir(photo("moved")).unwrap();
    let excluded = "0003.jpg";
    assert!(!left.contains(excluded));
    let kept: Vec<String> =
        left.iter().filter(|name| name.starts_with('0')).take(2).cloned().collect();
    for name in ["swap.jpg", excluded, &kept[0]] {
        std::fs::rename(photo(name), photo(&format!("moved/{name}"))).unwrap();
    }
    std::fs::remove_file(photo(&kept[1])).unwrap();
    let pruned = scan(stage, &["--prune"]);
    assert_eq!(pruned["pruned"]["moved"], 3, "{pruned}");
    assert_eq!(pruned["pruned"]["gone"], 1, "{pruned}");
    assert!(left.remove(&kept[1]));
    assert_eq!(exported(stage), left, "what was excluded stays so under its new name");
    let swap = &stage.export(None)["swap.jpg"];
    assert!(swap["uri"].as_str().unwrap().ends_with("/moved/swap.jpg"));
    assert_eq!(swap["subject"], ERASED);
    let again = scan(stage, &["--prune"]);
    let counts = [&again["pruned"]["moved"], &again["pruned"]["gone"]];
    assert_eq!(counts, [&json!(0), &json!(0)], "{again}");
}

/// Waits until `enough` images of campaigns of this lane have ended, but not all.
async fn runs(stage: &Stage, lane: Lane, enough: u64) {
    let waiting = async {
        loop {
            let campaigns = stage.store.campaigns(100).await.unwrap();
            let latest = campaigns.iter().find(|campaign| campaign.lane == lane);
            if let Some(campaign) = latest.filter(|latest| latest.progress.ended() >= enough) {
                assert!(!campaign.progress.is_complete(), "it was too fast: {campaign:?}");
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, waiting).await.expect("the campaign makes progress");
}

/// Nothing of the person is there, and the receipt says so.
fn assert_forgotten(stage: &Stage, receipt: &str) {
    let verified = ["erase", "--verify", receipt, "--subject", ERASED, "--json"];
    stage.run(Model::Old, &verified).ended(0);
    let images = stage.export(None);
    assert!(!images.contains_key("swap.jpg"));
    assert!(!images.keys().any(|name| name.starts_with(ERASED)), "{:?}", images.keys());
    assert!(images.values().all(|image| image["subject"] != ERASED));
    let people = stage.json(Model::Old, &["subject", "list"]);
    assert_eq!(people.len(), PEOPLE.len(), "the others and the newcomer: {people:?}");
    let audit = stage.run(Model::Old, &["audit", "--gallery", STAFF, "--json"]);
    audit.ended(0);
    assert!(!audit.out.contains(ERASED), "{}", audit.out);
    let kinds: BTreeSet<String> =
        audit.json().iter().map(|event| event["kind"].as_str().unwrap().to_owned()).collect();
    for kind in ["decision", "verdict", "erasure"] {
        assert!(kinds.contains(kind), "{kinds:?}");
    }
}

/// The person is erased while a scan and a re-score of their photos run, and an enrolment comes.
async fn erase(stage: &Arc<Stage>) {
    stage.crowd_comes(CROWD..CROWD + LATE);
    let begin = |work: fn(&Stage) -> Value| {
        let stage = stage.clone();
        tokio::task::spawn_blocking(move || work(&stage))
    };
    let scanning = begin(|stage| scan(stage, &[]));
    runs(stage, Lane::Scan, 20).await;
    let rescoring = begin(|stage| {
        // Its pace: without one, it may have ended before anybody looks.
        let paced = ["rescore", "--wait", "--rate", "30/s"];
        let roots = ["--root", "photos", "--root", "people"];
        stage.summary(Model::New, &[&paced[..], &roots[..]].concat())
    });
    runs(stage, Lane::Rescore, 1).await;
    let erased = ["erase", "--subject", ERASED, "--receipt", "receipt.json"];
    let erased = tokio::task::block_in_place(|| line(stage, &erased));
    assert_eq!(erased["places"]["images"], IMAGES_ERASED, "{erased}");
    let list = format!("file,subject\n{ERASED}-0.jpg,{ERASED}\n{ERASED}-1.jpg,{ERASED}\n");
    stage.sandbox.write("people/again.csv", list.as_bytes());
    let enrol = ["enrol", "--subjects", "people/again.csv", "--gallery", STAFF, "--json"];
    let enrolled = tokio::task::block_in_place(|| stage.run(Model::Old, &enrol));
    let summary = &enrolled.json().pop().unwrap()["summary"];
    assert_eq!(summary["outcomes"]["erased"], SHOTS as u64, "{}", enrolled.err);
    scanning.await.unwrap();
    rescoring.await.unwrap();
    tokio::task::block_in_place(|| {
        let again = scan(stage, &[]);
        assert_eq!(again["outcomes"]["erased"], 1, "the moved photo: {again}");
        assert_forgotten(stage, "receipt.json");
    });
}

/// The backup brings the person back, until the erasure is done again.
fn erase_again(stage: &Stage) {
    let people = stage.json(Model::Old, &["subject", "list"]);
    assert!(people.iter().any(|person| person["subject"] == ERASED), "{people:?}");
    stage.run(Model::Old, &["erase", "--verify", "receipt.json"]).ended(1);
    let reapply = ["erase", "--reapply", "receipt.json", "--receipt", "again.json", "--json"];
    let run = stage.run(Model::Old, &reapply);
    run.ended(0);
    assert_eq!(run.json()[0]["places"]["images"], IMAGES_ERASED, "{}", run.out);
    assert_forgotten(stage, "receipt.json");
}

/// The workers of a fleet.
fn workers(stage: &Stage) -> Vec<Process> {
    let models = if stage.fleet { &[Model::Old, Model::New][..] } else { &[] };
    models.iter().map(|model| stage.start(*model)).collect()
}

async fn story(stage: Stage, backup: Backup) {
    let stage = Arc::new(stage);
    let working = workers(&stage);
    begin(&stage);
    curate(&stage);
    move_and_prune(&stage);
    backup.make(&stage).await;
    erase(&stage).await;
    working.into_iter().for_each(Process::stop);
    stage.store.close().await;
    backup.put_back(&stage).await;
    erase_again(&stage);
    let working = workers(&stage);
    let scanned = scan(&stage, &[]);
    assert_eq!(scanned["outcomes"]["erased"], 1, "the moved photo: {scanned}");
    assert_forgotten(&stage, "again.json");
    working.into_iter().for_each(Process::stop);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gallery_is_curated_and_a_person_is_forgotten_in_processes_of_one_machine() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faces.db");
    let url = format!("sqlite:{}", file.display());
    let backup = Backup::Sqlite(file);
    let store = backup.open().await;
    story(Stage::with_crowd(CROWD, store, &url, None), backup).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gallery_is_curated_and_a_person_is_forgotten_in_a_fleet() {
    let stack = faults::Stack::take().await;
    let database = Database::on(&stack.store).await;
    let prefix = format!("story-{}", CampaignId::new());
    let (url, queue) = (database.url.clone(), Some((stack.queue.as_str(), prefix.as_str())));
    let backup = Backup::Postgres(database);
    let store = backup.open().await;
    story(Stage::with_crowd(CROWD, store, &url, queue), backup).await;
}
