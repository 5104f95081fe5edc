//! What only the `SQLite` store promises: a private file, and clear errors about unsuitable files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use facefleet::domain::{EnrolmentDecision, Outcome};
use facefleet::store::sqlite::SqliteStore;
use facefleet::store::{Effect, LookAlikeProbe, Maintenance, Reading, Results, Store, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};
use tempfile::TempDir;

use crate::store_contract::enrolments::{decided, direction, enrolment, name};
use crate::support::{effects, gallery, profile, record, scored};

fn folder() -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("faces.db");
    (folder, file)
}

async fn open(file: &Path) -> Result<SqliteStore, StoreError> {
    SqliteStore::open(&format!("sqlite:{}", file.display())).await
}

/// A connection that bypasses the store.
async fn connect(file: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(file).create_if_missing(true).connect().await.unwrap()
}

/// The reason why `file` cannot be used. It must name the file.
async fn refusal(file: &Path) -> String {
    match open(file).await.err().expect("the file should be refused") {
        StoreError::Unusable(reason) => {
            assert!(reason.contains(&file.display().to_string()), "{reason}");
            reason
        }
        other => panic!("{other:?}"),
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_and_its_log_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, file) = folder();
    let store = open(&file).await.unwrap();
    store.register_profile(&profile("a")).await.unwrap();
    store.record(&[scored("one", &[10])]).await.unwrap();
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap()).collect();
    assert_eq!(files.len(), 3, "{files:?}");
    for file in files {
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{file:?}");
    }
    store.close().await;
    let files: Vec<_> =
        std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(files, ["faces.db"], "a closed store is one file");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_file_can_be_opened_by_many_at_once() {
    let (_folder, file) = folder();
    let opened = (0..8).map(|_| {
        let file = file.clone();
        tokio::spawn(async move { open(&file).await.map(|_| ()) })
    });
    for opened in futures::future::join_all(opened).await {
        opened.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_file_that_is_not_a_database_is_refused_and_left_alone() {
    let (_folder, file) = folder();
    let text = "not a database, but long enough to be read as one ".repeat(100);
    std::fs::write(&file, &text).unwrap();
    let reason = refusal(&file).await;
    assert!(reason.contains("is not a SQLite database: choose another file"), "{reason}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), text);
}

#[tokio::test]
async fn another_programs_database_is_refused_and_left_alone() {
    let (_folder, file) = folder();
    let mut other = connect(&file).await;
    sqlx::raw_sql("CREATE TABLE images (name TEXT)").execute(&mut other).await.unwrap();
    other.close().await.unwrap();
    let before = std::fs::read(&file).unwrap();
    let reason = refusal(&file).await;
    assert!(reason.contains("another program's database"), "{reason}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test]
async fn folders_and_missing_folders_are_refused() {
    let (folder, _) = folder();
    let reason = refusal(folder.path()).await;
    assert!(reason.contains("is a folder: name a file in it"), "{reason}");
    let reason = refusal(&folder.path().join("missing/faces.db")).await;
    assert!(
        reason.contains("there is no folder") && reason.contains("create it first"),
        "{reason}"
    );
}

// Root may write everywhere else; no user may create a file here.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_place_that_cannot_be_written_is_refused() {
    let reason = refusal(Path::new("/proc/faces.db")).await;
    assert!(
        reason.contains("cannot be created")
            && reason.contains("choose a folder that can be written"),
        "{reason}"
    );
}

#[tokio::test]
async fn urls_of_other_kinds_are_refused() {
    for url in ["sqlite:", "sqlite::memory:", "postgres://host/faces", "faces.db", ""] {
        let error = SqliteStore::open(url).await.err().expect("the URL should be refused");
        assert!(matches!(error, StoreError::Unusable(_)), "{error:?}");
        assert!(error.to_string().contains("use sqlite:<path>"), "{error}");
    }
}

#[tokio::test]
async fn a_schema_from_a_newer_version_is_refused() {
    let (_folder, file) = folder();
    open(&file).await.unwrap().close().await;
    let mut future = connect(&file).await;
    let newer = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
        execution_time) VALUES (99, 'x', 1, x'', 0)";
    sqlx::raw_sql(newer).execute(&mut future).await.unwrap();
    future.close().await.unwrap();
    let reason = refusal(&file).await;
    assert!(
        reason.contains("newer version of facefleet (schema 99): upgrade facefleet"),
        "{reason}"
    );
}

#[tokio::test]
async fn a_lock_that_is_held_for_too_long_is_temporary() {
    let (_folder, file) = folder();
    let url = format!("sqlite:{}", file.display());
    let store = SqliteStore::open_with(&url, Duration::from_secs(2)).await.unwrap();
    store.register_profile(&profile("a")).await.unwrap();
    let mut other = connect(&file).await;
    let held = other.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let error = store.record(&[scored("one", &[10])]).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains(&file.display().to_string()), "{error}");
    held.rollback().await.unwrap();
    assert_eq!(effects(store.record(&[scored("one", &[10])]).await), [Effect::New]);
}

#[tokio::test]
async fn a_row_that_this_version_cannot_read_is_an_error() {
    let (_folder, file) = folder();
    let store = open(&file).await.unwrap();
    store.register_profile(&profile("a")).await.unwrap();
    store.record(&[record("one", Outcome::NoFace)]).await.unwrap();
    let mut future = connect(&file).await;
    sqlx::raw_sql("UPDATE results SET outcome = 'astonished'").execute(&mut future).await.unwrap();
    let error = store.summary(&gallery(), &profile("a").id()).await.unwrap_err();
    assert!(
        matches!(error, StoreError::Corrupt(_)) && error.to_string().contains("astonished"),
        "{error:?}"
    );
}

#[tokio::test]
async fn the_schema_refuses_impossible_results() {
    let (_folder, file) = folder();
    let store = open(&file).await.unwrap();
    store.register_profile(&profile("a")).await.unwrap();
    store.record(&[scored("one", &[10])]).await.unwrap();
    let mut connection = connect(&file).await;
    for wrong in [
        "UPDATE faces SET quality = 101",
        "UPDATE faces SET score = NULL",
        "UPDATE templates SET vector = x'00'",
        "UPDATE images SET content_hash = x'00'",
        "UPDATE results SET image_id = 99",
    ] {
        assert!(sqlx::raw_sql(wrong).execute(&mut connection).await.is_err(), "{wrong}");
    }
}

/// A file system of a mebibyte, in memory.
struct SmallDisk(TempDir);

impl SmallDisk {
    /// None where this user may not mount one.
    fn new() -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=1m", "tmpfs"])
            .arg(folder.path())
            .status();
        mounted.is_ok_and(|status| status.success()).then_some(Self(folder))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.0.path()).status().unwrap();
    }
}

#[tokio::test]
async fn a_full_disk_is_waited_for_and_nothing_is_lost() {
    let Some(disk) = SmallDisk::new() else {
        println!("LEFT OUT: a small file system can only be mounted as root");
        return;
    };
    let store = open(&disk.0.path().join("faces.db")).await.unwrap();
    store.register_profile(&profile("a")).await.unwrap();
    store.record(&[scored("one", &[10])]).await.unwrap();
    // Fill the disk. A few pages that the store has already may still be written.
    let ballast = disk.0.path().join("ballast");
    std::fs::write(&ballast, vec![0; 1 << 20]).unwrap_err();
    let records: Vec<_> =
        (0..100).map(|number| scored(&format!("photo-{number}"), &[20])).collect();
    match store.record(&records).await {
        Err(StoreError::Unavailable(reason)) => assert!(reason.contains("is full"), "{reason}"),
        other => panic!("{other:?}"),
    }
    std::fs::remove_file(ballast).unwrap();
    assert_eq!(effects(store.record(&records).await), vec![Effect::New; 100]);
    store.close().await;
}

#[tokio::test]
async fn a_damaged_template_of_a_reference_stops_no_other_enrolment() {
    let (_folder, file) = folder();
    let store: Arc<dyn Store> = Arc::new(open(&file).await.unwrap());
    store.register_profile(&profile("a")).await.unwrap();
    for (image, subject, degrees) in [("one", "Ann", 0.0), ("two", "Bob", 90.0)] {
        decided(&store, &enrolment(image, subject, 50, degrees)).await;
    }
    let probe =
        |degrees| vec![LookAlikeProbe { subject: name("Cid"), template: direction(degrees) }];
    let profile = profile("a").id();
    let damages = [
        // Not finite; of another length.
        "UPDATE templates SET vector = zeroblob(2 * dimension) WHERE face_id = 1",
        "UPDATE templates SET vector = x'003c', dimension = 1 WHERE face_id = 1",
    ];
    for damage in damages {
        sqlx::query(damage).execute(&mut connect(&file).await).await.unwrap();
        let found = store.look_alikes(&gallery(), &profile, &probe(80.0)).await.unwrap();
        assert!(found[0].unwrap().similarity > 0.9, "Bob is still compared with");
        let found = store.look_alikes(&gallery(), &profile, &probe(0.0)).await.unwrap();
        assert!(found[0].unwrap().similarity < 0.1, "Ann cannot be");
    }
    // Neither does a damaged reference of its own.
    let more = decided(&store, &enrolment("three", "Ann", 60, 10.0)).await;
    assert_eq!(more.enrolment.unwrap().decision, EnrolmentDecision::Accepted);
}
