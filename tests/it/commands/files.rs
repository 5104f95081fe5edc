//! Which files a scan lists as images, and how it accounts for all others.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use serde_json::Value;

use super::{Run, Sandbox, assert_adds_up, number};
use crate::support::sample;

/// The lines of one kind, by name.
fn lines(run: &Run, kind: &str) -> Vec<Value> {
    run.json().into_iter().filter_map(|mut line| line.get_mut(kind).map(Value::take)).collect()
}

/// A folder with something of every kind, and four images, three of them with a face.
fn sandbox_of_everything() -> Sandbox {
    let sandbox = Sandbox::new();
    let photo = sample("astronaut.png");
    for name in ["no_ending", "a.jfif", "b.png_original"] {
        sandbox.write(&format!("photos/{name}"), &photo);
    }
    sandbox.write("photos/IMG_1.HEIC", b"\0\0\0\x18ftypheic\0\0\0\0mif1heic");
    std::fs::create_dir_all(sandbox.path("photos/@eaDir/a.jfif")).unwrap();
    for name in [
        "notes.txt",
        "more.TXT",
        "film.mp4",
        "README",
        "._a.jfif",
        "@eaDir/a.jfif/SYNOPHOTO_THUMB_M.jpg",
        "x.drawing",
    ] {
        sandbox.write(&format!("photos/{name}"), b"not an image");
    }
    std::fs::create_dir(sandbox.path("elsewhere")).unwrap();
    sandbox.write("elsewhere/far.jpg", &photo);
    symlink("no_ending", sandbox.path("photos/link.png")).unwrap();
    symlink("../elsewhere/far.jpg", sandbox.path("photos/far.jpg")).unwrap();
    symlink("gone.jpg", sandbox.path("photos/broken.jpg")).unwrap();
    sandbox.write("photos/.facefleetignore", b"*.drawing\n");
    sandbox
}

#[test]
fn every_file_is_listed_or_counted_and_named() {
    let sandbox = sandbox_of_everything();
    let run = sandbox.run(&["scan", "photos", "--exclude", "more.*", "--json"]);
    run.ended(0);
    let summary = run.summary();
    assert_adds_up(&summary);
    assert_eq!((number(&summary, "listed"), number(&summary, "face_count")), (4, 3), "{summary}");
    assert_eq!(
        summary["left_alone"],
        serde_json::json!({ ".txt": 1, ".mp4": 1, "without ending": 1 })
    );
    let left_out = &summary["left_out"];
    assert_eq!((number(left_out, "folders"), number(left_out, "files")), (1, 3));
    for rule in ["@eaDir", "._*", "--exclude more.*", ".facefleetignore"] {
        assert!(left_out["rules"].get(rule).is_some(), "{rule}: {left_out}");
    }
    assert_eq!(summary["links"], serde_json::json!({ "inside": 1, "outside": 1, "broken": 1 }));
    for line in run.json() {
        let named = ["left_alone", "left_out", "link"].iter().find_map(|kind| line.get(kind));
        let uri = named.unwrap_or(&line)["uri"].as_str();
        assert!(
            line.get("summary").is_some() || uri.is_some_and(|uri| uri.starts_with("file:///")),
            "{line}"
        );
    }
    let film = lines(&run, "left_alone").into_iter().find(|line| line["ending"] == "mp4").unwrap();
    assert!(film["name"].as_str().unwrap().ends_with("/photos/film.mp4"), "{film}");
    let folder = lines(&run, "left_out").into_iter().find(|line| line["folder"] == true).unwrap();
    assert!(
        folder["uri"].as_str().unwrap().ends_with("/photos/@eaDir") && folder["rule"] == "@eaDir",
        "{folder}"
    );
    let outside = lines(&run, "link").into_iter().find(|line| line["leads"] == "outside").unwrap();
    assert!(outside["target"].as_str().unwrap().ends_with("/elsewhere/far.jpg"), "{outside}");
}

#[test]
fn the_summary_and_the_log_account_for_every_file() {
    let sandbox = sandbox_of_everything();
    sandbox.run(&["scan", "photos", "--exclude", "more.*"]).ended(0);
    let run = sandbox.run(&["scan", "photos", "elsewhere", "-v"]);
    run.ended(0);
    assert!(run.out.contains("left alone: 2 .txt, 1 .mp4, 1 without ending\n"), "{}", run.out);
    assert!(run.out.contains("left out: 1 folder and 2 files by rule ("), "{}", run.out);
    let links = "2 links to files below the roots, which are listed once, by their own path\n\
                 1 link broken: ";
    assert!(run.out.contains(links), "{}", run.out);
    assert!(run.out.lines().last().unwrap().starts_with("5 listed = 1 scored + "), "{}", run.out);
    for name in ["film.mp4: left alone", "._a.jfif: left out: ._*", "broken.jpg: a broken link"] {
        assert!(run.err.contains(name), "{name}: {}", run.err);
    }
}

#[test]
fn include_and_exclude_choose_what_is_scanned() {
    let sandbox = Sandbox::new();
    sandbox.fill(4);
    std::fs::create_dir(sandbox.path("photos/drafts")).unwrap();
    std::fs::rename(sandbox.path("photos/0003.jpg"), sandbox.path("photos/drafts/0003.JPG"))
        .unwrap();
    std::fs::copy(sandbox.path("photos/0001.jpg"), sandbox.path("photos/copy.jpeg")).unwrap();
    let listed = |arguments: &[&str]| {
        let run = sandbox.run(&[&["scan", "photos", "--json"][..], arguments].concat());
        run.ended(0);
        number(&run.summary(), "listed")
    };
    assert_eq!(listed(&[]), 5);
    assert_eq!(listed(&["--include", "*.jpg"]), 4);
    assert_eq!(listed(&["--include", "*.jpg", "--exclude", "drafts"]), 3);
    assert_eq!(listed(&["--include", "drafts/", "--include", "*.jpeg"]), 2);
    let unused =
        sandbox.run(&["scan", "photos", "--exclude", "photos/drafts", "--exclude", "drafts"]);
    assert!(unused.err.contains("--exclude photos/drafts matched nothing"), "{}", unused.err);
    assert!(!unused.err.contains("--exclude drafts matched"), "{}", unused.err);
    let wrong = sandbox.run(&["scan", "photos", "--exclude", "a["]);
    wrong.ended(2);
    assert!(wrong.err.contains("'a[' for '--exclude <GLOB>'"), "{}", wrong.err);
}

#[test]
fn a_scan_that_finds_no_image_says_what_it_found() {
    let sandbox = Sandbox::new();
    let run = sandbox.run(&["scan", "photos"]);
    run.ended(0);
    assert!(run.out.contains("/photos: there is nothing\n"), "{}", run.out);
    sandbox.write("photos/film.mp4", b"no image");
    let run = sandbox.run(&["scan", "photos"]);
    run.ended(0);
    assert!(run.out.contains("/photos: 1 file left alone\nleft alone: 1 .mp4\n"), "{}", run.out);
}

#[test]
fn two_names_that_are_not_utf_8_differ_by_their_uris() {
    let sandbox = Sandbox::new();
    for name in [&b"photos/a\xFF.jpg"[..], b"photos/a\xFE.jpg"] {
        std::fs::write(sandbox.folder.path().join(OsStr::from_bytes(name)), b"no photo").unwrap();
    }
    std::fs::write(sandbox.folder.path().join(OsStr::from_bytes(b"photos/b\xFF.mp4")), b"no photo")
        .unwrap();
    let run = sandbox.run(&["scan", "photos", "--json", "--fail-over", "1"]);
    run.ended(0);
    assert_adds_up(&run.summary());
    let images: Vec<_> =
        run.json().into_iter().filter(|line| line.get("image").is_some()).collect();
    assert_eq!(images.len(), 2);
    assert_eq!(images[0]["image"], images[1]["image"], "people see no difference");
    for uri in ["a%FF.jpg", "a%FE.jpg"] {
        assert!(
            images.iter().any(|line| line["uri"].as_str().unwrap().ends_with(uri)),
            "{uri}: {images:?}"
        );
    }
    assert!(lines(&run, "left_alone")[0]["uri"].as_str().unwrap().ends_with("b%FF.mp4"));
}

#[test]
fn what_only_reads_creates_no_store_and_says_that_there_is_none() {
    let sandbox = Sandbox::new();
    sandbox.write("receipt.json", b"{}");
    let readers: &[&[&str]] = &[
        &["audit"],
        &["calibrate", "default"],
        &["campaign", "cancel", "latest"],
        &["campaign", "list"],
        &["campaign", "show", "latest"],
        &["curate", "exclude", "photos/a.jpg"],
        &["curate", "gone"],
        &["curate", "log"],
        &["curate", "lowest"],
        &["erase", "--subject", "ada"],
        &["evaluate", "default"],
        &["export"],
        &["profile", "list"],
        &["report"],
        &["rescore"],
        &["schedule", "history"],
        &["schedule", "list"],
        &["show", "photos/a.jpg"],
        &["subject", "list"],
        &["subject", "review"],
        &["worker", "list"],
    ];
    for arguments in readers {
        let run = sandbox.run(arguments);
        run.ended(1);
        assert!(run.err.contains("the store is empty: there is no "), "{arguments:?}: {}", run.err);
        assert!(!sandbox.path("facefleet.db").exists(), "{arguments:?}");
    }
    let doctor = sandbox.run(&["doctor", "--json"]);
    let store = doctor.json().into_iter().find(|check| check["check"] == "store").unwrap();
    assert_eq!(store["ok"], true, "{store}");
    assert!(store["detail"].as_str().unwrap().contains("the first scan or enrolment creates it"));
    let files = std::fs::read_dir(sandbox.path(".")).unwrap();
    let mut names: Vec<_> = files.map(|file| file.unwrap().file_name()).collect();
    names.sort_unstable();
    assert_eq!(names, ["photos", "receipt.json"]);
    let elsewhere = sandbox.run(&["doctor", "--json", "--store", "sqlite:nowhere/facefleet.db"]);
    let store = elsewhere.json().into_iter().find(|check| check["check"] == "store").unwrap();
    assert_eq!(store["ok"], false, "{store}");
    assert!(store["detail"].as_str().unwrap().contains("cannot be created"), "{store}");
}

#[test]
fn a_campaign_names_its_folder_by_its_whole_path() {
    let sandbox = Sandbox::new();
    sandbox.write("photos/a.png", &sample("chelsea.png"));
    std::os::unix::fs::symlink(sandbox.path("photos"), sandbox.path("link")).unwrap();
    let whole = sandbox.path("photos").canonicalize().unwrap().display().to_string();
    for named in ["photos", "./photos/", "link", "photos/../photos"] {
        sandbox.run(&["scan", named]).ended(0);
        let campaign = sandbox.run(&["campaign", "show", "latest", "--json"]).json().remove(0);
        assert_eq!(campaign["source"], whole.as_str(), "{named}");
    }
    sandbox.run(&["scan", "photos/a.png", "photos"]).ended(0);
    let shown = sandbox.run(&["campaign", "show", "latest"]);
    assert!(shown.out.contains(&format!("{whole}/a.png, {whole} into gallery")), "{}", shown.out);
}
