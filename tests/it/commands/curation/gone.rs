//! Images that are gone from their source: `scan --prune` and `curate gone`.

use serde_json::{Value, json};

use super::{exported, line, staff, view};
use crate::commands::Sandbox;
use crate::support::sample;

/// The summary of a scan of the photos.
fn scan(sandbox: &Sandbox, arguments: &[&str], status: i32) -> Value {
    let run = sandbox.run(&[&["scan", "photos", "--json"], arguments].concat());
    run.ended(status);
    run.json().pop().unwrap()["summary"].clone()
}

fn rename(sandbox: &Sandbox, from: &str, to: &str) {
    let to = sandbox.path(to);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::rename(sandbox.path(from), to).unwrap();
}

fn subject_of(sandbox: &Sandbox, image: &str) -> Value {
    let run = sandbox.run(&["export", "--format", "jsonl", "--image", image]);
    line(&run)["subject"].clone()
}

#[test]
fn what_is_gone_is_taken_out_and_what_was_moved_keeps_its_subject_and_its_verdicts() {
    let sandbox = staff();
    let out = ["curate", "exclude", "photos/obama2.jpg", "--as", "Ann"];
    sandbox.run(&out).ended(0);
    std::fs::remove_file(sandbox.path("photos/obama3.jpg")).unwrap();
    rename(&sandbox, "photos/biden.jpg", "photos/new/bob.jpg");
    rename(&sandbox, "photos/obama2.jpg", "photos/new/two.jpg");

    let found = scan(&sandbox, &[], 0);
    assert_eq!([&found["missing"], &found["pruned"]], [&json!(3), &Value::Null]);
    assert_eq!(exported(&sandbox), ["biden.jpg", "bob.jpg", "obama.jpg", "obama3.jpg", "two.jpg"]);
    let (rows, preview) = view(&sandbox, &["gone", "--out", "gone.html"]);
    let told = |row: &Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    let told: Vec<_> =
        rows.iter().map(|row| (told(row, "evidence"), told(row, "suggestion"))).collect();
    let pair = |one: &str, other: &str| (one.to_owned(), other.to_owned());
    assert_eq!(told.len(), 2, "{rows:?}");
    assert!(told.contains(&pair("missing", "gone")) && told.contains(&pair("moved", "moved")));
    assert!(std::fs::read_to_string(sandbox.path("gone.html")).unwrap().contains("not listed"));

    let pruned = scan(&sandbox, &["--prune", "--as", "Ann"], 0);
    let counts = |summary: &Value| {
        let pruned = &summary["pruned"];
        (pruned["gone"].as_u64().unwrap(), pruned["moved"].as_u64().unwrap())
    };
    assert_eq!((counts(&pruned), &pruned["skipped"]), ((1, 2), &json!(3)));
    assert_eq!(exported(&sandbox), ["bob.jpg", "obama.jpg"]);
    assert_eq!(subject_of(&sandbox, "photos/new/bob.jpg"), "joe");
    let search = line(&sandbox.run(&["search", "photos/new/bob.jpg", "--by", "subject", "--json"]));
    assert_eq!(search["candidates"][0]["subject"], "joe", "{search}");
    let log = sandbox.run(&["curate", "log", "--image", "photos/new/two.jpg"]);
    log.ended(0);
    assert!(log.out.contains("exclude image") && log.out.contains("by Ann"), "{}", log.out);
    let log = sandbox.run(&["curate", "log", "--image", "photos/biden.jpg"]);
    assert!(log.out.contains("has its new place, and its old one has image"), "{}", log.out);
    let late = sandbox.run(&["curate", "gone", "--apply", preview["preview"].as_str().unwrap()]);
    late.ended(1);
    let again = scan(&sandbox, &["--prune"], 0);
    assert_eq!((counts(&again), &again["skipped"]), ((0, 0), &json!(3)));

    let curation = pruned["pruned"]["curation_ids"][0].to_string();
    sandbox.run(&["curate", "undo", "--curation", &curation]).ended(0);
    assert_eq!(subject_of(&sandbox, "photos/biden.jpg"), "joe");
    let (rows, preview) = view(&sandbox, &["gone"]);
    assert_eq!(rows.len(), 2);
    sandbox.run(&["curate", "gone", "--apply", preview["preview"].as_str().unwrap()]).ended(0);
    assert_eq!(subject_of(&sandbox, "photos/new/bob.jpg"), "joe");
    assert_eq!(view(&sandbox, &["gone"]).0, Vec::<Value>::new());

    // All is as it was: by itself, but for what was moved.
    sandbox.write("photos/obama3.jpg", &sample("obama3.jpg"));
    rename(&sandbox, "photos/new/bob.jpg", "photos/biden.jpg");
    rename(&sandbox, "photos/new/two.jpg", "photos/obama2.jpg");
    std::fs::remove_dir(sandbox.path("photos/new")).unwrap();
    let back = sandbox.run(&["scan", "photos", "--prune"]);
    back.ended(0);
    assert_eq!(exported(&sandbox), ["biden.jpg", "obama.jpg", "obama3.jpg"], "{}", back.out);
    assert_eq!(subject_of(&sandbox, "photos/biden.jpg"), "joe");
}

#[test]
fn two_photos_that_change_names_and_two_copies_are_neither_gone_nor_of_the_wrong_person() {
    let sandbox = staff();
    rename(&sandbox, "photos/obama.jpg", "photos/x.jpg");
    rename(&sandbox, "photos/biden.jpg", "photos/obama.jpg");
    rename(&sandbox, "photos/x.jpg", "photos/biden.jpg");
    let summary = scan(&sandbox, &["--prune"], 0);
    assert_eq!([&summary["pruned"]["gone"], &summary["pruned"]["moved"]], [&json!(0), &json!(0)]);
    assert_eq!(exported(&sandbox).len(), 4);
    assert_ne!(subject_of(&sandbox, "photos/obama.jpg"), "barack");
    assert_ne!(subject_of(&sandbox, "photos/biden.jpg"), "joe");

    std::fs::copy(sandbox.path("photos/obama2.jpg"), sandbox.path("photos/copy.jpg")).unwrap();
    rename(&sandbox, "photos/obama2.jpg", "photos/moved.jpg");
    let summary = scan(&sandbox, &["--prune"], 0);
    assert_eq!([&summary["pruned"]["gone"], &summary["pruned"]["moved"]], [&json!(0), &json!(1)]);
    let of = ["photos/copy.jpg", "photos/moved.jpg"].map(|image| subject_of(&sandbox, image));
    assert_eq!(of.iter().filter(|subject| **subject == "barack").count(), 1, "{of:?}");
}

#[test]
fn an_incomplete_listing_prunes_nothing() {
    let sandbox = staff();
    let all = exported(&sandbox);
    std::fs::remove_file(sandbox.path("photos/obama3.jpg")).unwrap();
    // Rules that cannot be read stand for a folder that cannot.
    sandbox.write("photos/.facefleetignore", b"[z-a]\n");
    let summary = scan(&sandbox, &["--prune"], 3);
    assert_eq!([&summary["missing"], &summary["pruned"]], [&Value::Null, &Value::Null]);
    std::fs::remove_file(sandbox.path("photos/.facefleetignore")).unwrap();

    // A share that is not mounted is an empty folder.
    rename(&sandbox, "photos", "away");
    std::fs::create_dir(sandbox.path("photos")).unwrap();
    let none = sandbox.run(&["scan", "photos", "--prune"]);
    none.ended(3);
    assert!(none.err.contains("nothing was pruned"), "{}", none.err);
    assert_eq!(exported(&sandbox), all);
    // Something else may be where the share was.
    sandbox.write("photos/.keep", b"");
    sandbox.write("photos/read.me", b"mount the photos here");
    let other = sandbox.run(&["scan", "photos", "--prune"]);
    other.ended(3);
    assert!(other.err.contains("brought no image"), "{}", other.err);
    assert_eq!(exported(&sandbox), all);
    for name in [".keep", "read.me"] {
        std::fs::remove_file(sandbox.path(&format!("photos/{name}"))).unwrap();
    }
    // So is one below the root.
    std::fs::remove_dir(sandbox.path("photos")).unwrap();
    rename(&sandbox, "away", "photos");
    rename(&sandbox, "photos/biden.jpg", "photos/share/biden.jpg");
    scan(&sandbox, &["--prune"], 0);
    rename(&sandbox, "photos/share/biden.jpg", "elsewhere.jpg");
    let summary = scan(&sandbox, &["--prune"], 0);
    assert_eq!([&summary["missing"], &summary["missing_in_empty_folders"]], [&json!(0), &json!(1)]);
    assert_eq!(exported(&sandbox), ["biden.jpg", "obama.jpg", "obama2.jpg"]);

    // What a rule leaves out is there, and what is outside of the roots is not looked at.
    std::fs::create_dir(sandbox.path("other")).unwrap();
    sandbox.write("other/x.jpg", &sample("obama3.jpg"));
    std::fs::remove_file(sandbox.path("photos/obama2.jpg")).unwrap();
    sandbox.run(&["scan", "other", "--prune"]).ended(0);
    let summary = scan(&sandbox, &["--prune", "--exclude", "obama.jpg"], 0);
    assert_eq!([&summary["missing"], &summary["pruned"]["gone"]], [&json!(1), &json!(1)]);
    assert_eq!(exported(&sandbox), ["biden.jpg", "obama.jpg", "x.jpg"]);
    let list = sandbox.run(&["scan", "--from", "people.csv", "--prune"]);
    list.ended(2);
    assert!(list.err.contains("cannot be used with"), "{}", list.err);
}

#[test]
fn an_image_that_is_back_is_found_by_an_enrolment_and_by_a_list() {
    let sandbox = staff();
    let all = exported(&sandbox);
    for command in [&["enrol", "--subjects", "people.csv"][..], &["scan", "--from", "all.txt"]] {
        for name in ["obama3.jpg", "biden.jpg"] {
            rename(&sandbox, &format!("photos/{name}"), &format!("away/{name}"));
        }
        scan(&sandbox, &["--prune"], 0);
        assert_eq!(exported(&sandbox), ["obama.jpg", "obama2.jpg"]);
        // Renamed, they are the same version.
        for name in ["obama3.jpg", "biden.jpg"] {
            rename(&sandbox, &format!("away/{name}"), &format!("photos/{name}"));
        }
        sandbox.write("all.txt", b"photos/biden.jpg\nphotos/obama3.jpg\n");
        let run = sandbox.run(&[command, &["--json"]].concat());
        run.ended(0);
        let summary = run.json().pop().unwrap()["summary"].clone();
        assert_ne!(summary["skipped"], json!(0), "{summary}");
        let search =
            line(&sandbox.run(&["search", "photos/biden.jpg", "--by", "subject", "--json"]));
        assert_eq!(search["candidates"][0]["subject"], "joe", "{search}");
        scan(&sandbox, &[], 0);
        assert_eq!(exported(&sandbox), all);
    }
}

#[test]
fn what_an_incomplete_listing_brings_is_there() {
    let sandbox = staff();
    let all = exported(&sandbox);
    std::fs::remove_file(sandbox.path("photos/obama3.jpg")).unwrap();
    // Rules that cannot be read stand for a folder that cannot.
    sandbox.write("photos/.facefleetignore", b"[z-a]\n");
    rename(&sandbox, "photos", "away");
    std::fs::create_dir(sandbox.path("photos")).unwrap();
    for name in ["obama.jpg", "obama2.jpg"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    scan(&sandbox, &["--prune"], 0);
    assert_eq!(exported(&sandbox), ["obama.jpg", "obama2.jpg"]);
    std::fs::remove_dir_all(sandbox.path("photos")).unwrap();
    rename(&sandbox, "away", "photos");
    scan(&sandbox, &["--prune"], 3);
    assert_eq!(exported(&sandbox), ["biden.jpg", "obama.jpg", "obama2.jpg"]);
    sandbox.write("photos/obama3.jpg", &sample("obama3.jpg"));
    std::fs::remove_file(sandbox.path("photos/.facefleetignore")).unwrap();
    scan(&sandbox, &["--prune"], 0);
    assert_eq!(exported(&sandbox), all);
}
