//! `score` of folders, and of what is named beside them.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Run, Sandbox};
use crate::support::sample;

/// `image` and `outcome` of each line.
fn images(run: &Run) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    run.json().iter().map(|line| (text(&line["image"]), text(&line["outcome"]))).collect()
}

fn sorted(run: &Run) -> Vec<(String, String)> {
    let mut images = images(run);
    images.sort();
    images
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(image, outcome)| ((*image).into(), (*outcome).into())).collect()
}

/// Photos at two depths, and what a listing leaves out.
fn sandbox_of_photos() -> Sandbox {
    let sandbox = Sandbox::new();
    for folder in ["photos/2024/trip", "photos/@eaDir", "photos/drafts"] {
        std::fs::create_dir_all(sandbox.path(folder)).unwrap();
    }
    sandbox.write("photos/a.png", &sample("astronaut.png"));
    sandbox.write("photos/2024/trip/no_ending", &sample("obama.jpg"));
    sandbox.write("photos/2024/cat.png", &sample("chelsea.png"));
    sandbox.write("photos/broken.jpg", b"no photo");
    sandbox.write("photos/drafts/b.png", &sample("astronaut.png"));
    sandbox.write("photos/.facefleetignore", b"/drafts\n");
    for text in ["photos/notes.txt", "photos/README", "photos/@eaDir/thumb.jpg", "photos/._a.png"] {
        sandbox.write(text, b"no photo");
    }
    symlink("/etc", sandbox.path("photos/out")).unwrap();
    sandbox
}

#[test]
fn a_folder_is_scored_by_the_rules_of_a_scan_and_the_rest_is_counted() {
    let sandbox = sandbox_of_photos();
    let run = sandbox.run(&["score", "photos", "--json", "--chips", "chips"]);
    run.ended(3);
    let expected = pairs(&[
        ("photos/2024/cat.png", "no_face"),
        ("photos/2024/trip/no_ending", "scored"),
        ("photos/a.png", "scored"),
        ("photos/broken.jpg", "unreadable"),
    ]);
    assert_eq!(sorted(&run), expected);
    assert!(
        run.err.contains(
            "besides the images: 2 files left alone, 2 folders and 1 file left out by rule, 1 link \
                (-v names them)"
        ),
        "{}",
        run.err
    );
    let root = sandbox.folder.path().canonicalize().unwrap();
    let mut chips = Vec::new();
    for line in run.json() {
        let path = root.join(line["image"].as_str().unwrap());
        assert_eq!(line["uri"].as_str().unwrap(), format!("file://{}", path.display()));
        chips.extend(line["faces"].as_array().unwrap().iter().map(|face| face["chip"].clone()));
    }
    assert_eq!(std::fs::read_dir(sandbox.path("chips")).unwrap().count(), chips.len());
    assert!(chips.len() >= 2 && !sandbox.path("facefleet.db").exists());

    let run = sandbox.run(&["-v", "score", "photos"]);
    run.ended(3);
    for told in ["notes.txt: left alone", "@eaDir: left out with everything in it: @eaDir"] {
        assert!(run.err.contains(told), "{told}: {}", run.err);
    }
    // A scan lists the same images.
    let scanned = sandbox.run(&["scan", "photos", "--json"]);
    scanned.ended(0);
    let uris = |run: &Run| {
        let mut uris: Vec<_> = run
            .json()
            .iter()
            .filter(|line| line["image"].is_string())
            .map(|line| line["uri"].to_string())
            .collect();
        uris.sort();
        uris
    };
    let run = sandbox.run(&["score", "photos", "--json"]);
    assert_eq!(uris(&run), uris(&scanned));
}

#[test]
fn what_is_named_comes_in_the_order_of_the_command_whatever_its_ending() {
    let sandbox = sandbox_of_photos();
    sandbox.write("photos/hidden.txt", &sample("obama.jpg"));
    sandbox.write("photo.txt", &sample("obama.jpg"));
    let photo = format!("file://{}", sandbox.path("photo.txt").display());
    let named = ["photos/drafts/b.png", "gone.jpg", "photos/2024/trip", "photos/notes.txt", &photo];
    let run = sandbox.run(&[&["score", "--json"], &named[..]].concat());
    run.ended(3);
    let path = sandbox.path("photo.txt").display().to_string();
    let expected = pairs(&[
        ("photos/drafts/b.png", "scored"),
        ("gone.jpg", "unreadable"),
        ("photos/2024/trip/no_ending", "scored"),
        ("photos/notes.txt", "unreadable"),
        (&path, "scored"),
    ]);
    assert_eq!(images(&run), expected);
    assert!(run.err.is_empty(), "{}", run.err);

    let twice = sandbox.run(&["score", "--json", "photos/a.png", "photos", "./photos/a.png"]);
    let lines = images(&twice);
    let of_a = |(image, _): &&(String, String)| image.ends_with("a.png");
    assert_eq!((lines.iter().filter(of_a).count(), lines.len()), (2, 6), "{lines:?}");
    assert_eq!((lines[0].0.as_str(), lines[5].0.as_str()), ("photos/a.png", "./photos/a.png"));
}

#[test]
fn a_folder_without_an_image_is_told_and_its_exit_status_is_not_0() {
    let sandbox = Sandbox::new();
    std::fs::create_dir(sandbox.path("texts")).unwrap();
    std::fs::create_dir(sandbox.path("more")).unwrap();
    let empty = sandbox.run(&["score", "photos"]);
    empty.ended(3);
    assert_eq!(empty.err, "facefleet: no image found below photos: there is nothing\n");
    sandbox.write("texts/notes.txt", b"no photo");
    let texts = sandbox.run(&["score", "texts", "--json"]);
    texts.ended(3);
    assert_eq!(texts.err, "facefleet: no image found below texts: 1 file left alone\n");
    assert_eq!(texts.out, "");
    sandbox.write("more/a.png", &sample("astronaut.png"));
    let both = sandbox.run(&["score", "texts", "more", "--json"]);
    both.ended(3);
    assert_eq!(images(&both), pairs(&[("more/a.png", "scored")]));
    assert!(both.err.ends_with("facefleet: no image found below texts\n"), "{}", both.err);
    sandbox.run(&["score", "more"]).ended(0);
}

#[test]
fn an_interrupted_score_finishes_what_is_in_flight() {
    const IMAGES: usize = 400;
    let sandbox = Sandbox::new();
    sandbox.fill(IMAGES);
    let mut command = sandbox.command(&["score", "photos", "--json"]);
    let mut score = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(score.stdout.take().unwrap()).lines();
    lines.next().unwrap().unwrap();
    let signal = Command::new("kill").args(["-INT", &score.id().to_string()]).status().unwrap();
    assert!(signal.success());
    // Every line is whole.
    let rest = lines.map(|line| serde_json::from_str::<Value>(&line.unwrap()).unwrap());
    let rest = rest.inspect(|line| assert_eq!(line["outcome"], "scored")).count();
    let mut told = String::new();
    score.stderr.take().unwrap().read_to_string(&mut told).unwrap();
    assert_eq!(score.wait().unwrap().code(), Some(130), "{told}");
    assert!(told.starts_with("stopping: ") && !told.contains("no image"), "{told}");
    assert!(rest < IMAGES - 1, "{rest}");
}

#[test]
fn a_folder_that_cannot_be_read_is_told_and_the_rest_is_scored() {
    let sandbox = Sandbox::new();
    sandbox.write("photos/a.png", &sample("astronaut.png"));
    std::fs::create_dir(sandbox.path("photos/.facefleetignore")).unwrap();
    let run = sandbox.run(&["score", "photos", "--json"]);
    run.ended(3);
    assert_eq!(images(&run), pairs(&[("photos/a.png", "scored")]));
    assert!(
        run.err.contains("cannot list ") && run.err.contains(".facefleetignore"),
        "{}",
        run.err
    );
}
