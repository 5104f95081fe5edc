//! `facefleet scan` of buckets on an S3 server.

use std::path::Path;
use std::process::Command;

use crate::support::s3::S3Server;
use crate::support::sample;

fn facefleet(
    server: &S3Server,
    folder: &Path,
    arguments: &[&str],
) -> (Option<i32>, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_facefleet"))
        .args(arguments)
        .current_dir(folder)
        .env("FACEFLEET__HOME", env!("CARGO_MANIFEST_DIR"))
        .envs(server.variables())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_bucket_is_scanned_and_a_second_scan_skips_all_images() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    for name in ["astronaut.png", "obama.jpg", "chelsea.png"] {
        server.put("faces", &format!("staff/{name}"), &sample(name));
    }
    server.put("faces", "staff/notes.jpg", b"a shopping list, not a photo");
    server.put("faces", "staff/readme.txt", b"no image, and not named like one");
    server.put("faces", "staff-old/obama.jpg", &sample("obama.jpg"));

    let scan = || facefleet(&server, folder.path(), &["scan", "s3://faces/staff"]);
    let (status, out, err) = scan();
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(out.contains("left alone: 1 .txt\n"), "{out}");
    assert_eq!(
        out.lines().last().unwrap(),
        "4 listed = 2 scored + 1 no_face + 1 unreadable + 0 refused + 0 failed + 0 skipped"
    );
    assert!(err.contains("s3://faces/staff/notes.jpg: unreadable"), "{err}");

    let (status, out, err) = scan();
    assert_eq!(status, Some(0), "{out}{err}");
    assert_eq!(
        out.lines().last().unwrap(),
        "4 listed = 0 scored + 0 no_face + 0 unreadable + 0 refused + 0 failed + 4 skipped"
    );

    server.put("faces", "staff/notes.jpg", &sample("obama.jpg"));
    let (_, out, _) = scan();
    assert_eq!(
        out.lines().last().unwrap(),
        "4 listed = 1 scored + 0 no_face + 0 unreadable + 0 refused + 0 failed + 3 skipped"
    );
}

#[test]
fn objects_are_recognised_by_key_or_first_bytes_and_rules_apply_to_them() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    let photo = sample("astronaut.png");
    for key in ["p/no_ending", "p/drafts/a.png", "p/@eaDir/a.png/thumb.jpg", "p/b.dat"] {
        server.put("faces", key, &photo);
    }
    for key in ["p/README", "p/list.csv", "p/._a.png"] {
        server.put("faces", key, b"no image");
    }
    let (status, out, err) =
        facefleet(&server, folder.path(), &["scan", "s3://faces/p", "--exclude", "/drafts"]);
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(out.contains("left alone: 1 .csv, 1 .dat, 1 without ending\n"), "{out}");
    assert!(
        out.contains("left out: 3 files by rule (1 --exclude /drafts, 1 ._*, 1 @eaDir)\n"),
        "{out}"
    );
    assert!(out.lines().last().unwrap().starts_with("1 listed = 1 scored + "), "{out}");
    // An object that is a root is listed whatever its key; objects of two roots are listed once.
    let (_, out, err) = facefleet(
        &server,
        folder.path(),
        &["scan", "s3://faces/p", "s3://faces/p/b.dat", "s3://faces/p/drafts"],
    );
    assert!(out.lines().last().unwrap().starts_with("3 listed = 2 scored + "), "{out}{err}");
}

#[test]
fn the_error_about_a_bucket_that_cannot_be_listed_names_it() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    let (status, _, err) = facefleet(&server, folder.path(), &["scan", "s3://missing/staff"]);
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains("s3://missing/staff") && err.contains("no such bucket"), "{err}");
    for (root, reason) in [
        ("https://host/photos/", "a web server does not say what is below it"),
        ("ftp://host/photos", "is not a supported location"),
    ] {
        let (status, _, err) = facefleet(&server, folder.path(), &["scan", root]);
        assert!(matches!(status, Some(1 | 2)) && err.contains(reason), "{status:?} {err}");
    }
}

#[test]
fn a_list_in_a_bucket_and_a_listing_of_the_bucket_skip_each_others_images() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    for name in ["astronaut.png", "obama.jpg"] {
        server.put("faces", &format!("staff/{name}"), &sample(name));
    }
    server.put(
        "faces",
        "staff/list.csv",
        b"uri\nobama.jpg\ns3://faces/staff/astronaut.png\nno.jpg\n",
    );
    let list = ["scan", "--from", "s3://faces/staff/list.csv"];
    let (status, out, err) = facefleet(&server, folder.path(), &list);
    assert_eq!(status, Some(0), "{out}{err}");
    assert!(out.contains("3 listed = 2 scored + 0 no_face + 1 unreadable + "), "{out}");
    let (_, out, _) = facefleet(&server, folder.path(), &list);
    assert!(out.lines().last().unwrap().ends_with("+ 2 skipped"), "{out}");
    let (_, out, _) = facefleet(&server, folder.path(), &["scan", "s3://faces/staff"]);
    assert!(out.lines().last().unwrap().ends_with("+ 2 skipped"), "{out}");
    // It may name what is beside it, and nothing else.
    server.put("faces", "other/list.txt", b"s3://faces/staff/obama.jpg\n");
    let other = ["scan", "--from", "s3://faces/other/list.txt"];
    let (status, _, err) = facefleet(&server, folder.path(), &other);
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains("1 of 1 image is") && err.contains("--root s3://faces"), "{err}");
}

#[test]
fn a_prefix_that_ends_within_a_segment_says_what_to_write_instead() {
    let server = S3Server::start();
    let folder = tempfile::tempdir().unwrap();
    server.put("faces", "p/A001/obama.jpg", &sample("obama.jpg"));
    let (status, out, err) = facefleet(&server, folder.path(), &["scan", "s3://faces/p/A"]);
    assert_eq!(status, Some(3), "{out}{err}");
    assert!(err.contains("name s3://faces/p/A001, or scan s3://faces/p --include '/A*'"), "{err}");
    assert!(out.contains("no image found below s3://faces/p/A"), "{out}");
    let (_, out, _) =
        facefleet(&server, folder.path(), &["scan", "s3://faces/p", "--include", "/A*"]);
    assert!(out.lines().last().unwrap().starts_with("1 listed = 1 scored"), "{out}");
    let (status, out, _) = facefleet(&server, folder.path(), &["scan", "s3://faces/p/B"]);
    assert_eq!(status, Some(0), "{out}");
    assert!(out.contains("no image found below s3://faces/p/B: there is nothing"), "{out}");
}
