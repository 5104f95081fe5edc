//! Scans that fail as a whole: the exit status, the reason and what to do.

use std::os::unix::fs::FileExt;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::{Sandbox, assert_adds_up, outcome};
use crate::support::{PHOTOS, sample};

#[test]
fn a_scan_whose_images_are_mostly_refused_fails_and_says_why() {
    let sandbox = Sandbox::new();
    for name in &PHOTOS[..3] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    let run = sandbox.run(&["scan", "photos", "--aligned"]);
    run.ended(3);
    let last = run.err.lines().last().unwrap();
    for part in [
        "facefleet: 3 of 3 images ended as unreadable, refused or failed",
        "--fail-over 0.5",
        "of 3 images: refused: ",
        "are not a chip",
        "Scan photos without --aligned",
    ] {
        assert!(last.contains(part), "{part}: {last}");
    }
    assert!(run.out.ends_with("3 refused + 0 failed + 0 skipped\n"), "{}", run.out);

    // Refused images are tried again.
    let json = sandbox.run(&["scan", "photos", "--aligned", "--json"]);
    json.ended(3);
    let summary = json.summary();
    assert_adds_up(&summary);
    assert_eq!(outcome(&summary, "refused"), 3);
    assert!(summary["failure"].as_str().unwrap().contains("--aligned"), "{summary}");
    let reason = &summary["reasons"][0];
    assert_eq!((&reason["outcome"], &reason["images"]), (&"refused".into(), &3.into()));

    let accepted = sandbox.run(&["scan", "photos", "--aligned", "--json", "--fail-over", "1"]);
    accepted.ended(0);
    assert_eq!(accepted.summary()["failure"], serde_json::Value::Null);
    assert!(!accepted.err.contains("--fail-over"), "{}", accepted.err);
}

#[test]
fn the_share_is_of_the_images_that_ended_and_half_is_accepted() {
    let sandbox = Sandbox::new();
    sandbox.write("photos/a.jpg", &sample("obama.jpg"));
    sandbox.write("photos/b.jpg", b"text");
    sandbox.run(&["scan", "photos"]).ended(0);
    let strict = ["scan", "photos", "--gallery", "strict", "--fail-over", "0.4"];
    sandbox.run(&strict).ended(3);
    // Now both are up to date.
    sandbox.run(&strict).ended(0);
    sandbox.write("photos/c.jpg", b"another text");
    let again = sandbox.run(&["scan", "photos"]);
    again.ended(3);
    assert!(again.err.contains("1 of 1 images ended"), "{}", again.err);
    for share in ["1.1", "-1", "half", "NaN"] {
        sandbox.run(&["scan", "photos", &format!("--fail-over={share}")]).ended(2);
    }
}

#[test]
fn a_library_that_is_not_found_names_the_home() {
    let sandbox = Sandbox::new();
    let mut command = sandbox.command(&["scan", "photos"]);
    let run = super::Run::of(command.env_remove("FACEFLEET__HOME").output().unwrap());
    run.ended(1);
    assert!(run.err.contains("cannot be loaded from ./.facefleet"), "{}", run.err);
    assert!(run.err.contains("FACEFLEET__HOME"), "{}", run.err);
}

/// Overwrites the first page of a table.
async fn damage(sandbox: &Sandbox, table: &str) {
    let path = sandbox.path("facefleet.db");
    let mut connection = SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    let root = "SELECT rootpage, (SELECT page_size FROM pragma_page_size()) FROM sqlite_master \
                WHERE name = ?1";
    let (page, size): (i64, i64) =
        sqlx::query_as(root).bind(table).fetch_one(&mut connection).await.unwrap();
    // Nothing may be left in the write-ahead log.
    sqlx::raw_sql("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let file = std::fs::File::options().write(true).open(path).unwrap();
    file.write_all_at(&vec![0xAA; size as usize], ((page - 1) * size) as u64).unwrap();
}

#[tokio::test]
async fn a_scan_into_a_damaged_store_ends_and_says_so() {
    let sandbox = Sandbox::new();
    sandbox.fill(1);
    sandbox.run(&["scan", "photos"]).ended(0);
    damage(&sandbox, "faces").await;
    sandbox.write("photos/new.jpg", &sample(PHOTOS[1]));
    let run = sandbox.run(&["scan", "photos"]);
    run.ended(1);
    assert!(run.err.contains("the store is damaged: facefleet.db"), "{}", run.err);
    assert!(run.err.contains("restore it from a backup"), "{}", run.err);
}
