//! `erase` as people run it, in one process.

mod choosing;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use super::schemas::assert_fits;
use super::{Run, Sandbox, number, outcome};
use crate::support::sample;

/// A name that is a part of no other text.
pub(super) const NAME: &str = "barack-4711";

/// A sandbox with two people enrolled, and the chips of their photos kept.
pub(super) struct Staff(pub(super) Sandbox);

impl Staff {
    pub(super) fn enrolled() -> Self {
        let staff = Self(Sandbox::new());
        for name in ["obama.jpg", "obama2.jpg", "biden.jpg"] {
            staff.0.write(&format!("photos/{name}"), &sample(name));
        }
        let list = format!(
            "subject,file\n{NAME},photos/obama.jpg\n{NAME},photos/obama2.jpg\n\
            joe,photos/biden.jpg\n"
        );
        staff.0.write("people.csv", list.as_bytes());
        staff.enrol().ended(0);
        staff
    }

    pub(super) fn enrol(&self) -> Run {
        self.run(&["enrol", "--subjects", "people.csv", "--gallery", "staff", "--json"])
    }

    pub(super) fn run(&self, arguments: &[&str]) -> Run {
        let mut command = self.0.command(arguments);
        command.env("FACEFLEET__CHIPS__URL", self.0.path("chips"));
        Run::of(command.output().unwrap())
    }

    /// Erases, and returns the receipt.
    pub(super) fn erase(&self, more: &[&str]) -> Value {
        let run = self.run(&[&["erase", "--gallery", "staff", "--json"], more].concat());
        run.ended(0);
        let receipt = run.json().remove(0);
        assert_fits("erasure", std::slice::from_ref(&receipt));
        receipt
    }

    /// Begins to erase: the rows are deleted, and the chips cannot be reached.
    fn erase_half(&self, what: &[&str]) {
        let (chips, away) = (self.0.path("chips"), self.0.path("away"));
        std::fs::rename(&chips, &away).unwrap();
        self.0.write("chips", b"a file, where a folder should be");
        let failed = self.run(&[&["erase", "--gallery", "staff"], what].concat());
        failed.ended(1);
        assert!(failed.err.contains("chip cache"), "{}", failed.err);
        std::fs::remove_file(&chips).unwrap();
        std::fs::rename(&away, &chips).unwrap();
    }

    pub(super) fn verify(&self, more: &[&str], status: i32) -> Vec<(String, String)> {
        let run = self.run(&[&["erase", "--verify", "receipt.json", "--json"], more].concat());
        run.ended(status);
        let line = run.json().remove(0);
        assert_fits("verified-erasure", std::slice::from_ref(&line));
        let text = |place: &Value, key: &str| place[key].as_str().unwrap().to_owned();
        let places = line["places"].as_array().unwrap();
        places.iter().map(|place| (text(place, "place"), text(place, "result"))).collect()
    }

    pub(super) fn chips(&self) -> usize {
        files(&self.0.path("chips")).len()
    }
}

pub(super) fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

pub(super) fn places(receipt: &Value, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| number(&receipt["places"], name)).collect()
}

#[test]
fn an_erased_person_is_found_nowhere_and_no_scan_brings_them_back() {
    let staff = Staff::enrolled();
    assert_eq!(staff.chips(), 3);
    let removed = ["images", "faces", "templates", "references", "subjects"];
    let trial = staff.erase(&["--subject", NAME, "--dry-run"]);
    assert_eq!(places(&trial, &removed), [2, 2, 2, 2, 1]);
    assert_eq!(places(&trial, &["chips"]), [2]);
    assert_eq!((trial["erasure"].is_null(), staff.chips()), (true, 3));

    let receipt = staff.erase(&["--subject", NAME, "--as", "Olga", "--receipt", "receipt.json"]);
    assert_eq!(places(&receipt, &removed), [2, 2, 2, 2, 1]);
    assert_eq!(places(&receipt, &["chips", "kept", "dead_letters"]), [2, 0, 0]);
    assert_eq!([&receipt["by"], &receipt["rewritten"]], [&json!("Olga"), &json!(true)]);
    let written = std::fs::read_to_string(staff.0.path("receipt.json")).unwrap();
    assert!(!written.contains(NAME) && !written.contains("obama"), "{written}");
    assert_eq!(serde_json::from_str::<Value>(&written).unwrap(), receipt);

    let again = staff.run(&["scan", "photos", "--gallery", "staff", "--json"]);
    again.ended(0);
    let summary = again.summary();
    assert_eq!((outcome(&summary, "erased"), number(&summary, "skipped")), (2, 1));
    let again = staff.enrol().summary();
    assert_eq!((outcome(&again, "erased"), number(&again, "accepted_before")), (2, 1));
    assert_eq!(staff.chips(), 1, "what workers kept of them is removed");
    let people = staff.run(&["subject", "list", "--gallery", "staff"]);
    assert!(people.out.contains("joe") && !people.out.contains(NAME), "{}", people.out);

    let searched = staff.verify(&["--subject", NAME], 0);
    let of = |found: &[(String, String)], place: &str| {
        found.iter().find(|(name, _)| name.ends_with(place)).map(|(_, result)| result.clone())
    };
    for place in ["rows of the store", "chip cache", "facefleet.db"] {
        assert_eq!(of(&searched, place).as_deref(), Some("absent"), "{searched:?}");
    }
    let searched = staff.verify(&[], 0);
    assert_eq!(of(&searched, "files of the store").as_deref(), Some("not_searched"));
    staff.0.write("export.csv", format!("uri,subject\nx,{NAME}\n").as_bytes());
    let searched = staff.verify(&["--subject", NAME, "--search", "export.csv"], 1);
    assert_eq!(of(&searched, "export.csv").as_deref(), Some("found"));
    let verify = ["erase", "--verify", "receipt.json", "--subject", NAME, "--search", "export.csv"];
    let told = staff.run(&[&verify[..], &["--json"]].concat()).json().remove(0);
    let file = told["places"].as_array().unwrap().last().unwrap();
    let expected = json!({
        "kind": "file", "place": "export.csv", "result": "found", "count": null,
        "file": "export.csv", "offset": "uri,subject\nx,".len(), "reason": null,
    });
    assert_eq!(*file, expected);
    let text = staff.run(&verify);
    assert!(text.out.contains("       found  export.csv, at byte 14\n"), "{}", text.out);
    assert!(!text.out.contains(NAME), "{}", text.out);
    let other = staff.run(&["erase", "--verify", "receipt.json", "--subject", "joe"]);
    other.ended(1);
    assert!(other.err.contains("another person"), "{}", other.err);
}

#[test]
fn an_image_and_a_gallery_are_erased_too() {
    let staff = Staff::enrolled();
    let receipt =
        staff.erase(&["--image", "photos/obama.jpg", "--receipt", "receipt.json", "--no-rewrite"]);
    assert_eq!(places(&receipt, &["images", "chips", "subjects"]), [1, 1, 0]);
    assert_eq!(receipt["rewritten"], json!(false));
    let again = staff.erase(&["--image", "photos/obama.jpg", "--receipt", "receipt.json"]);
    assert_eq!(again["already_erased_at"], receipt["ended_at"]);
    let told = staff.run(&["erase", "--gallery", "staff", "--image", "photos/obama.jpg"]);
    assert!(told.out.starts_with("nothing was left of one image"), "{}", told.out);
    staff.verify(&["--image", "photos/obama.jpg"], 0);

    let refused = staff.run(&["erase", "--gallery", "staff"]);
    refused.ended(1);
    assert!(refused.err.contains("--yes"), "{}", refused.err);
    let receipt = staff.erase(&["--yes"]);
    assert_eq!(places(&receipt, &["images", "subjects", "chips"]), [2, 2, 2]);
    assert_eq!(staff.chips(), 0);
    for again in [
        &["scan", "photos", "--gallery", "staff"][..],
        &["enrol", "--subjects", "people.csv", "--gallery", "staff"],
    ] {
        let again = staff.run(again);
        again.ended(1);
        assert!(again.err.contains("gallery staff was erased"), "{}", again.err);
    }
    let empty = staff.run(&["curate", "lowest", "--gallery", "staff"]);
    empty.ended(1);
    assert!(empty.err.contains("gallery 'staff' was erased"), "{}", empty.err);
    let other = staff.run(&["scan", "photos", "--gallery", "other", "--json"]).summary();
    assert_eq!(outcome(&other, "scored"), 3);
}

#[test]
fn an_erasure_that_fails_half_way_is_finished_by_the_same_command() {
    let staff = Staff::enrolled();
    staff.erase_half(&["--subject", NAME]);
    assert_eq!(staff.chips(), 3);
    let receipt = staff.erase(&["--subject", NAME]);
    assert_eq!(places(&receipt, &["images", "subjects", "chips"]), [2, 1, 2]);
    assert_eq!(staff.chips(), 1);
}

#[test]
fn an_erasure_of_a_numbered_image_that_fails_half_way_is_finished_by_the_same_command() {
    let staff = Staff::enrolled();
    let shown = staff.run(&["show", "photos/obama.jpg", "--gallery", "staff", "--json"]);
    let id = shown.json()[0]["image_id"].to_string();
    staff.erase_half(&["--image", &id]);
    let receipt = staff.erase(&["--image", &id, "--receipt", "receipt.json"]);
    assert_eq!(places(&receipt, &["images", "chips"]), [1, 1]);
    assert_eq!((&receipt["rewritten"], staff.chips()), (&json!(true), 2));
    staff.verify(&["--image", "photos/obama.jpg"], 0);
    let again = staff.run(&["erase", "--gallery", "staff", "--image", "4711"]);
    again.ended(1);
    assert!(again.err.contains("no image 4711"), "{}", again.err);
}

#[test]
fn an_erasure_of_a_numbered_image_whose_files_are_not_written_anew_is_finished_by_it() {
    let staff = Staff::enrolled();
    let shown = staff.run(&["show", "photos/obama.jpg", "--gallery", "staff", "--json"]);
    let id = shown.json()[0]["image_id"].to_string();
    let first = staff.erase(&["--image", &id, "--no-rewrite"]);
    let trial = staff.erase(&["--image", &id, "--dry-run"]);
    assert_eq!(places(&trial, &["images", "chips"]), [0, 0]);
    let again = staff.erase(&["--image", &id, "--receipt", "receipt.json"]);
    assert_eq!([&first["rewritten"], &again["rewritten"]], [&json!(false), &json!(true)]);
    for key in ["erasure", "target", "places", "marks"] {
        assert_eq!(again[key], first[key], "{key}");
    }
    staff.verify(&["--image", "photos/obama.jpg"], 0);
}

#[test]
fn chips_that_a_worker_left_are_found_and_removed_and_those_of_another_gallery_stay() {
    let staff = Staff::enrolled();
    let kept: Vec<(PathBuf, Vec<u8>)> = files(&staff.0.path("chips"))
        .into_iter()
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    staff.erase(&["--subject", NAME, "--receipt", "receipt.json"]);
    assert_eq!(staff.chips(), 1);
    let put_back = || kept.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    put_back();
    staff.verify(&[], 1);
    let again = staff.erase(&["--subject", NAME]);
    assert_eq!((places(&again, &["chips"]), staff.chips()), (vec![4], 1));
    staff.verify(&[], 0);

    staff.run(&["scan", "photos", "--gallery", "other"]).ended(0);
    assert_eq!(staff.chips(), 3);
    staff.verify(&[], 0);
    staff.erase(&["--subject", NAME]);
    assert_eq!(staff.chips(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_interrupted_erasure_says_what_to_do() {
    let staff = Staff::enrolled();
    let file = SqliteConnectOptions::new().filename(staff.0.path("facefleet.db"));
    let mut connection = file.connect().await.unwrap();
    sqlx::raw_sql("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
    let mut erase = staff.0.command(&["erase", "--gallery", "staff", "--subject", NAME]);
    let erase = erase.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Once it has the store open, it waits for the lock.
    let open = format!("/proc/{}/fd", erase.id());
    let has_store = || {
        let mut open = std::fs::read_dir(&open).unwrap().flatten();
        open.any(|entry| {
            std::fs::read_link(entry.path()).is_ok_and(|path| path.ends_with("facefleet.db"))
        })
    };
    while !has_store() {
        tokio::task::yield_now().await;
    }
    let id = erase.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let interrupted = Run::of(erase.wait_with_output().unwrap());
    interrupted.ended(130);
    assert!(interrupted.err.contains("interrupted: "), "{}", interrupted.err);
    sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    let receipt = staff.erase(&["--subject", NAME]);
    assert_eq!(places(&receipt, &["images", "subjects", "chips"]), [2, 1, 2]);
}

#[test]
fn an_erasure_that_is_killed_at_any_time_has_the_same_end() {
    let staff = Staff::enrolled();
    let saved = ["facefleet.db"].map(|name| (name, std::fs::read(staff.0.path(name)).unwrap()));
    let wanted = ["images", "results", "faces", "templates", "references", "subjects", "kept"];
    let expected = [2, 2, 2, 2, 2, 1, 0];
    for delay in [0, 10, 20, 40, 80, 160, 320] {
        for (name, bytes) in &saved {
            staff.0.write(name, bytes);
        }
        for ending in ["-wal", "-shm"] {
            std::fs::remove_file(staff.0.path(&format!("facefleet.db{ending}"))).ok();
        }
        let arguments = ["erase", "--gallery", "staff", "--subject", NAME];
        let mut killed = staff.0.command(&arguments);
        killed.env("FACEFLEET__CHIPS__URL", staff.0.path("chips"));
        let mut killed = killed.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        killed.kill().unwrap();
        killed.wait().unwrap();
        std::fs::remove_file(staff.0.path("receipt.json")).ok();
        let receipt = staff.erase(&["--subject", NAME, "--receipt", "receipt.json"]);
        assert_eq!(places(&receipt, &wanted), expected, "killed after {delay} ms");
        staff.verify(&["--subject", NAME], 0);
    }
}

#[test]
fn a_mistake_in_typing_and_a_receipt_that_cannot_be_written_erase_nothing() {
    let staff = Staff::enrolled();
    for (what, told) in [
        (&["--subject", "barack-4712"][..], "nothing was erased: the store has nothing of that"),
        (&["--image", "photos/obama4.jpg"], "nothing was erased: the store has nothing of that"),
        (
            &["--subject", NAME, "--receipt", "missing/receipt.json"],
            "nothing was erased: the receipt",
        ),
    ] {
        for trial in [&[][..], &["--dry-run"]] {
            let run = staff.run(&[&["erase", "--gallery", "staff"], what, trial].concat());
            run.ended(1);
            assert!(run.err.contains(told), "{}", run.err);
        }
    }
    for what in [&["--subject", NAME][..], &["--image", "photos/obama.jpg"], &["--yes"]] {
        let run = staff.run(&[&["erase", "--gallery", "stuff", "--dry-run"], what].concat());
        run.ended(1);
        let told = "there is no gallery 'stuff' in the store, only staff";
        assert!(run.err.contains(told), "{}", run.err);
    }
    assert_eq!(staff.run(&["export", "--gallery", "staff", "--format", "jsonl"]).json().len(), 3);

    // On purpose, for jobs on their way.
    staff.erase(&["--subject", "barack-4712", "--absent"]);
    let enrolled =
        staff.run(&["enrol", "--subject", "barack-4712", "photos/obama.jpg", "--gallery", "staff"]);
    assert!(enrolled.out.contains("erased"), "{} {}", enrolled.out, enrolled.err);
}
