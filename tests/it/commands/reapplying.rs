//! `erase --reapply` as people run it, after a copy of the store from before was put back.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};

use super::erasing::{NAME, Staff, files, places};
use super::schemas::assert_fits;
use super::{number, outcome};

/// The store and the chip cache, as they were.
struct Backup(Vec<(PathBuf, Vec<u8>)>);

impl Backup {
    fn of(staff: &Staff) -> Self {
        let paths = files(&staff.0.path("chips")).into_iter();
        let paths = paths.chain([staff.0.path("facefleet.db")]);
        Self(paths.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect())
    }

    fn restore(&self, staff: &Staff) {
        for ending in ["-wal", "-shm"] {
            std::fs::remove_file(staff.0.path(&format!("facefleet.db{ending}"))).ok();
        }
        self.0.iter().for_each(|(path, bytes)| std::fs::write(path, bytes).unwrap());
    }
}

fn reapply(staff: &Staff, more: &[&str]) -> Value {
    let run = staff.run(&[&["erase", "--json", "--reapply"], more].concat());
    run.ended(0);
    let line = run.json().remove(0);
    assert_fits("reapplied-erasures", std::slice::from_ref(&line));
    line
}

const REMOVED: [&str; 5] = ["images", "faces", "templates", "references", "subjects"];

#[test]
fn a_restored_copy_is_erased_again_by_its_receipts() {
    let staff = Staff::enrolled();
    let backup = Backup::of(&staff);
    staff.erase(&["--subject", NAME, "--receipt", "receipt.json"]);
    staff.erase(&["--image", "photos/biden.jpg", "--receipt", "image.json"]);
    backup.restore(&staff);
    assert_eq!(staff.chips(), 3);
    let lost = staff.run(&["erase", "--verify", "receipt.json"]);
    lost.ended(1);
    assert!(lost.err.contains("--reapply"), "{}", lost.err);

    let trial = reapply(&staff, &["receipt.json", "image.json", "--dry-run"]);
    assert_eq!(places(&trial, &REMOVED), [3, 3, 3, 3, 1]);
    assert_eq!((places(&trial, &["chips"]), staff.chips()), (vec![3], 3));

    let again = ["receipt.json", "image.json", "--as", "Rita", "--receipt", "again.json"];
    let again = reapply(&staff, &again);
    assert_eq!(places(&again, &REMOVED), [3, 3, 3, 3, 1]);
    assert_eq!((&again["receipts"][0]["by"], staff.chips()), (&json!("Rita"), 0));
    let written = std::fs::read_to_string(staff.0.path("again.json")).unwrap();
    assert!(!written.contains(NAME) && !written.contains("biden"), "{written}");
    staff.verify(&["--subject", NAME], 0);
    std::fs::rename(staff.0.path("again.json"), staff.0.path("receipt.json")).unwrap();
    staff.verify(&[], 0);
    staff.verify(&["--image", "photos/biden.jpg"], 0);

    let scan = staff.run(&["scan", "photos", "--gallery", "staff", "--json"]).summary();
    assert_eq!((outcome(&scan, "erased"), number(&scan, "skipped")), (3, 0));
    // The new receipt serves in the place of the two.
    let twice = reapply(&staff, &["receipt.json"]);
    assert_eq!(twice["receipts"][0]["already_erased_at"], again["receipts"][0]["ended_at"]);
    assert_eq!(twice["places"], again["places"]);
}

#[test]
fn a_receipt_of_another_store_or_of_a_trial_erases_nothing() {
    let staff = Staff::enrolled();
    let backup = Backup::of(&staff);
    let receipt = staff.erase(&["--subject", NAME, "--receipt", "receipt.json"]);
    let mut other = receipt.clone();
    other["marks"]["key"] = json!("0".repeat(64));
    staff.0.write("other.json", other.to_string().as_bytes());
    let mut old = receipt.clone();
    old.as_object_mut().unwrap().remove("marks");
    staff.0.write("old.json", old.to_string().as_bytes());
    staff.0.write("damaged.json", b"{\"receipts\": 1}");
    backup.restore(&staff);
    staff
        .run(&[
            "erase",
            "--subject",
            NAME,
            "--gallery",
            "staff",
            "--dry-run",
            "--receipt",
            "trial.json",
        ])
        .ended(0);
    for (file, told) in [
        ("other.json", "a receipt of another store"),
        ("trial.json", "the receipt of a trial"),
        ("damaged.json", "not a receipt"),
    ] {
        // With one that is right, before it.
        let refused = staff.run(&["erase", "--reapply", "receipt.json", file]);
        refused.ended(1);
        assert!(refused.err.contains(told), "{file}: {}", refused.err);
    }
    let people = staff.run(&["subject", "list", "--gallery", "staff"]);
    assert!(people.out.contains(NAME), "{}", people.out);

    let done = staff.run(&["erase", "--reapply", "old.json"]);
    done.ended(0);
    assert!(done.err.contains("has only one hash"), "{}", done.err);
    staff.verify(&["--subject", NAME], 0);
}

#[test]
fn an_erasure_that_is_done_again_and_killed_at_any_time_has_the_same_end() {
    let staff = Staff::enrolled();
    let backup = Backup::of(&staff);
    staff.erase(&["--subject", NAME, "--receipt", "receipt.json"]);
    for delay in [0, 10, 20, 40, 80, 160, 320] {
        backup.restore(&staff);
        let mut killed = staff.0.command(&["erase", "--reapply", "receipt.json"]);
        killed.env("FACEFLEET__CHIPS__URL", staff.0.path("chips"));
        let mut killed = killed.stdout(Stdio::null()).spawn().unwrap();
        std::thread::sleep(Duration::from_millis(delay));
        killed.kill().unwrap();
        killed.wait().unwrap();
        let again = reapply(&staff, &["receipt.json"]);
        assert_eq!(places(&again, &REMOVED), [2, 2, 2, 2, 1], "killed after {delay} ms");
        assert_eq!(staff.chips(), 1);
        staff.verify(&["--subject", NAME], 0);
    }
}
