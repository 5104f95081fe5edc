//! Names of files that are not UTF-8, too long for a suffix, or contain terminal control sequences;
//! and images that are not chips.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use serde_json::{Value, json};

use super::{Run, Sandbox};
use crate::support::{sample, sample_path};

fn photo(sandbox: &Sandbox, name: &[u8]) -> OsString {
    let name = OsStr::from_bytes(name);
    std::fs::write(sandbox.folder.path().join(name), sample("obama.jpg")).unwrap();
    name.to_owned()
}

#[test]
fn names_that_are_not_utf_8_are_exact_in_json() {
    let sandbox = Sandbox::new();
    let (a, b) = (photo(&sandbox, b"a\xe9.jpg"), photo(&sandbox, b"a\xe8.jpg"));
    let arguments = [
        "score".as_ref(),
        "--json".as_ref(),
        "--chips".as_ref(),
        "chips".as_ref(),
        a.as_os_str(),
        &b,
        "gone.jpg".as_ref(),
    ];
    let run = Run::of(sandbox.command(&arguments).output().unwrap());
    run.ended(3);
    let [first, second, gone] = &run.json()[..] else { panic!("{}", run.out) };
    assert_eq!(
        (first["image"].as_str(), second["image"].as_str()),
        (Some("a\u{fffd}.jpg"), Some("a\u{fffd}.jpg"))
    );
    assert!(
        first["uri"].as_str().unwrap().ends_with("/a%E9.jpg")
            && second["uri"].as_str().unwrap().ends_with("/a%E8.jpg")
    );
    assert!(
        gone["uri"].as_str().unwrap().ends_with("/gone.jpg") && gone["outcome"] == "unreadable",
        "{gone}"
    );
    assert_ne!(first["faces"][0]["chip"], second["faces"][0]["chip"]);
    assert_eq!(std::fs::read_dir(sandbox.path("chips")).unwrap().count(), 2);

    let compared = Run::of(
        sandbox
            .command(&["match".as_ref(), "--json".as_ref(), a.as_os_str(), &b])
            .output()
            .unwrap(),
    );
    compared.ended(0);
    assert!(
        compared.json()[0]["images"][1]["uri"].as_str().unwrap().ends_with("/a%E8.jpg"),
        "{}",
        compared.out
    );
}

#[test]
fn chips_of_long_names_are_written_and_control_sequences_are_escaped() {
    let sandbox = Sandbox::new();
    let long = photo(&sandbox, format!("{}.jpg", "x".repeat(247)).as_bytes());
    let strange = photo(&sandbox, b"a\n0  face 0  quality 100\x1b[2J.jpg");
    let run = Run::of(
        sandbox
            .command(&[
                "score".as_ref(),
                "--chips".as_ref(),
                "chips".as_ref(),
                long.as_os_str(),
                &strange,
            ])
            .output()
            .unwrap(),
    );
    run.ended(0);
    assert_eq!(run.out.lines().count(), 3, "{}", run.out);
    assert!(run.out.contains("a\\n0  face 0") && !run.out.contains('\x1b'), "{}", run.out);
    assert_eq!(std::fs::read_dir(sandbox.path("chips")).unwrap().count(), 2);

    let compared = Run::of(
        sandbox
            .command(&["match".as_ref(), "gone\x1b.jpg".as_ref(), strange.as_os_str()])
            .output()
            .unwrap(),
    );
    compared.ended(1);
    assert!(compared.err.contains("gone\\u{1b}.jpg"), "{}", compared.err);
}

#[test]
fn a_scan_escapes_control_sequences_and_names_are_exact_in_json() {
    let sandbox = Sandbox::new();
    sandbox.write("photos/a\x1b[2J.jpg", b"no photo");
    sandbox.write("photos/b.\x1b]0;title", b"no photo");
    std::fs::create_dir(sandbox.path("photos/c\x1b")).unwrap();
    sandbox.write("photos/c\x1b/.facefleetignore", b"[z-a]\n");
    symlink("/", sandbox.path("photos/d\x1b")).unwrap();

    let run = sandbox.run(&["scan", "photos"]);
    run.ended(3);
    assert!(!run.out.contains('\x1b') && !run.err.contains('\x1b'), "{:?}\n{:?}", run.out, run.err);
    for told in ["left alone: 1 .\\u{1b}]0;title\n", "/photos/d\\u{1b} -> /)"] {
        assert!(run.out.contains(told), "{told}: {}", run.out);
    }
    for told in ["/a\\u{1b}[2J.jpg: unreadable: ", "/c\\u{1b}/.facefleetignore: line 1"] {
        assert!(run.err.contains(told), "{told}: {}", run.err);
    }

    let run = sandbox.run(&["scan", "photos", "--gallery", "other", "--json"]);
    run.ended(3);
    assert_eq!(run.summary()["left_alone"], json!({ ".\x1b]0;title": 1 }));
    let lines = run.json();
    let ends = |name: &Value, end: &str| name.as_str().is_some_and(|name| name.ends_with(end));
    assert!(lines.iter().any(|line| ends(&line["image"], "/a\x1b[2J.jpg")), "{}", run.out);
    assert!(
        lines.iter().any(|line| ends(&line["unlisted"]["name"], "/c\x1b/.facefleetignore")),
        "{}",
        run.out
    );
}

#[test]
fn an_image_that_is_not_a_chip_is_refused_with_aligned() {
    let sandbox = Sandbox::new();
    let photo = sample_path("astronaut.png").to_str().unwrap().to_owned();
    sandbox.run(&["score", "--chips", "photos", &photo]).ended(0);
    sandbox.write("photos/whole.png", &sample("astronaut.png"));
    let told =
        "512x512 pixels are not a chip, which is an aligned face of 112x112: without --aligned";
    let score =
        sandbox.run(&["score", "--aligned", "photos/whole.png", "photos/000000-astronaut-0.png"]);
    score.ended(3);
    assert!(score.out.contains(told) && score.out.contains("face 0  quality"), "{}", score.out);
    let scan = sandbox.run(&["scan", "--aligned", "photos"]);
    scan.ended(0);
    assert!(
        scan.out.ends_with(
            "2 listed = 1 scored + 0 no_face + 0 unreadable + 1 refused + 0 failed + 0 skipped\n"
        ),
        "{}",
        scan.out
    );
    assert!(scan.err.contains(told), "{}", scan.err);
}
