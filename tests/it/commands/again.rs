//! `facefleet scan --again`: which images it finds, and what it keeps of them.

use std::fs::File;
use std::time::{Duration, SystemTime};

use serde_json::json;

use super::{Sandbox, assert_adds_up, number, outcome};
use crate::support::{PHOTOS, sample};

#[test]
fn attempts_that_got_no_bytes_of_known_images_are_made_again() {
    let sandbox = Sandbox::new();
    sandbox.fill(3);
    sandbox.run(&["scan", "photos"]).ended(0);
    let touch = |name: &str| {
        let file = File::options().append(true).open(sandbox.path(name)).unwrap();
        file.set_modified(SystemTime::now() + Duration::from_secs(60)).unwrap();
    };
    for name in ["photos/0000.jpg", "photos/0001.jpg", "photos/0002.jpg"] {
        touch(name);
    }
    let mut limited = sandbox.command(&["scan", "photos", "--json"]);
    let run = super::Run::of(limited.env("FACEFLEET__LIMITS__MAX_BYTES", "1000").output().unwrap());
    run.ended(3);
    assert_eq!(outcome(&run.summary(), "refused"), 3);

    let again = ["scan", "--again", "refused,failed", "--root", "photos", "--json"];
    let run = sandbox.run(&again);
    run.ended(0);
    assert_adds_up(&run.summary());
    assert_eq!(outcome(&run.summary(), "scored"), 3, "{}", run.out);
    assert_eq!(number(&sandbox.run(&again).summary(), "listed"), 0);
}

#[test]
fn an_image_that_was_scanned_again_is_up_to_date() {
    let sandbox = Sandbox::new();
    sandbox.fill(2);
    std::fs::rename(sandbox.path("photos/0001.jpg"), sandbox.path("kept.jpg")).unwrap();
    sandbox.write("list.txt", b"photos/0000.jpg\nphotos/0001.jpg\n");
    sandbox.run(&["scan", "--from", "list.txt"]);
    std::fs::rename(sandbox.path("kept.jpg"), sandbox.path("photos/0001.jpg")).unwrap();
    let again = ["scan", "--again", "unreadable", "--root", "photos", "--json"];
    assert_eq!(outcome(&sandbox.run(&again).summary(), "scored"), 1);
    let summary = sandbox.run(&["scan", "photos", "--json"]).summary();
    assert_eq!((number(&summary, "listed"), number(&summary, "skipped")), (2, 2), "{summary}");
    // Damaged files are up to date for other scans, and not for this one.
    sandbox.write("photos/cut.jpg", b"no photo");
    sandbox.run(&["scan", "photos"]);
    let summary = sandbox.run(&[&again[..], &["--fail-over", "1"]].concat()).summary();
    assert_eq!((number(&summary, "skipped"), outcome(&summary, "unreadable")), (0, 1));
}

#[test]
fn the_hash_that_a_list_expects_is_not_forgotten() {
    let sandbox = Sandbox::new();
    sandbox.fill(2);
    let row = |file: &str, hash: &str| json!({ "uri": file, "content_hash": hash }).to_string();
    let bytes = sample(PHOTOS[1]);
    let right = blake3::hash(&bytes).to_string();
    let rows = [row("photos/0000.jpg", &"0".repeat(64)), row("photos/0001.jpg", &right)];
    sandbox.write("list.jsonl", rows.join("\n").as_bytes());
    std::fs::remove_file(sandbox.path("photos/0001.jpg")).unwrap();
    let run = sandbox.run(&["scan", "--from", "list.jsonl", "--json"]);
    let counts = ["refused", "unreadable"].map(|kind| outcome(&run.summary(), kind));
    assert_eq!(counts, [1, 1], "{}", run.out);
    // Another file came into the place of the missing one.
    std::fs::copy(sandbox.path("photos/0000.jpg"), sandbox.path("photos/0001.jpg")).unwrap();
    let again = ["scan", "--again", "refused,unreadable", "--root", "photos", "--json"];
    assert_eq!(outcome(&sandbox.run(&again).summary(), "refused"), 2);
    sandbox.write("photos/0001.jpg", &bytes);
    let summary = sandbox.run(&again).summary();
    let counts = ["refused", "scored"].map(|kind| outcome(&summary, kind));
    assert_eq!(counts, [1, 1], "{summary}");
}

#[test]
fn a_gallery_that_does_not_exist_is_no_gallery_without_failures() {
    let sandbox = Sandbox::new();
    sandbox.fill(1);
    sandbox.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
    let run = sandbox.run(&["scan", "--again", "failed", "--gallery", "stuff"]);
    run.ended(1);
    assert!(
        run.err.contains("there is no gallery 'stuff' in the store, only staff"),
        "{}",
        run.err
    );
}
