//! `facefleet rescore`, in one process.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use serde_json::Value;

use super::schemas::assert_fits;
use super::{Run, Sandbox, assert_adds_up, ended, number, outcome};
use crate::support::sample;

/// Settings with another profile than the default.
const NEW: [(&str, &str); 2] =
    [("FACEFLEET__QUALITY__METHOD", "sampled"), ("FACEFLEET__QUALITY__PASSES", "10")];

impl Sandbox {
    fn run_new(&self, arguments: &[&str]) -> Run {
        Run::of(self.command(arguments).envs(NEW).output().unwrap())
    }

    fn export(&self, profile: &str) -> Vec<Value> {
        let run = self.run(&["export", "--profile", profile, "--format", "jsonl", "--templates"]);
        run.ended(0);
        run.json()
    }
}

fn text(summary: &Value, key: &str) -> String {
    summary[key].as_str().unwrap_or_else(|| panic!("no {key} in {summary}")).to_owned()
}

#[test]
fn what_is_missing_is_scored_next_to_the_results_that_there_are() {
    let sandbox = Sandbox::new();
    for name in ["astronaut.png", "obama.jpg", "chelsea.png"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    sandbox.write("photos/notes.jpg", b"a shopping list, not a photo");
    let old = text(&sandbox.scan(), "profile");
    let before = sandbox.export(&old);

    let outside = sandbox.run_new(&["rescore"]);
    outside.ended(1);
    assert!(
        outside.err.contains("4 of 4 images are outside of what may be read"),
        "{}",
        outside.err
    );
    let rescore = ["rescore", "--root", "photos", "--json"];
    let run = sandbox.run_new(&rescore);
    run.ended(0);
    let (summary, lines) = (run.summary(), run.json());
    assert_fits("rescore-summary", &lines[4..]);
    assert_fits("image", &lines[..4]);
    assert_adds_up(&summary);
    let counts = ["scored", "no_face", "unreadable"].map(|kind| outcome(&summary, kind));
    assert_eq!((number(&summary, "listed"), counts), (4, [2, 1, 1]), "{summary}");
    let new = text(&summary, "profile");
    assert_eq!(text(&summary, "from_profile"), old);
    assert_ne!(new, old);
    assert_eq!(sandbox.export(&old), before);
    let after = sandbox.export(&new);
    let ids = |images: &[Value]| {
        let ids: BTreeSet<u64> = images.iter().map(|image| number(image, "image_id")).collect();
        ids
    };
    assert_eq!(ids(&after), ids(&before), "an image has one id under every profile");

    // An image without a face is done, and so is a damaged one.
    let again = sandbox.run_new(&["rescore"]);
    again.ended(0);
    let sentence = format!("all 4 images of gallery default have an outcome under profile {new}");
    assert!(again.out.contains(&sentence), "{}", again.out);
    let summary = sandbox.run_new(&rescore).summary();
    assert_eq!((number(&summary, "listed"), number(&summary, "skipped")), (4, 4), "{summary}");
    assert_eq!(summary["campaign"], Value::Null);
    // A scan of the same files finds them up to date.
    let scan = sandbox.run_new(&["scan", "photos", "--json"]).summary();
    assert_eq!((number(&scan, "listed"), number(&scan, "skipped")), (4, 4), "{scan}");
    let all = sandbox.run_new(&[&rescore[..], &["--all"]].concat()).summary();
    assert_eq!((ended(&all), number(&all, "skipped")), (4, 0), "{all}");
    assert_eq!(sandbox.export(&new), after, "what stands is repeated without effect");
    let campaigns = sandbox.run(&["campaign", "list", "--json"]).json();
    assert_eq!(
        (&campaigns[0]["lane"], &campaigns[0]["state"]),
        (&"rescore".into(), &"complete".into())
    );
    assert_eq!(campaigns[0]["source"], format!("--all --from-profile {old}"));
}

#[test]
fn the_only_profile_of_a_gallery_has_nothing_to_rescore() {
    let sandbox = Sandbox::new();
    sandbox.fill(2);
    let profile = text(&sandbox.scan(), "profile");
    let run = sandbox.run(&["rescore"]);
    run.ended(0);
    assert!(run.out.contains(&format!("have an outcome under profile {profile}")), "{}", run.out);
    assert!(run.out.contains("change the settings to the new models"), "{}", run.out);
    let run = sandbox.run(&["rescore", "--gallery", "stuff"]);
    run.ended(1);
    assert!(run.err.contains("there is no gallery 'stuff'"), "{}", run.err);
    let run = sandbox.run(&["rescore", "--rate", "fast"]);
    run.ended(2);
    assert!(run.err.contains("such as 50/s"), "{}", run.err);
}

#[test]
fn images_that_are_gone_or_changed_keep_the_results_that_they_have() {
    let sandbox = Sandbox::new();
    sandbox.fill(4);
    let old = text(&sandbox.scan(), "profile");
    let before = sandbox.export(&old);
    for name in ["photos/0001.jpg", "photos/0002.jpg"] {
        std::fs::remove_file(sandbox.path(name)).unwrap();
    }
    sandbox.write("photos/0002.jpg", &sample("obama.jpg"));
    let rescore = ["rescore", "--root", "photos", "--json"];
    let run = sandbox.run_new(&rescore);
    run.ended(0);
    let counts = ["scored", "unreadable", "refused"].map(|kind| outcome(&run.summary(), kind));
    assert_eq!(counts, [2, 1, 1], "{}", run.out);
    assert!(run.out.contains("the image changed since it was recorded: scan it"), "{}", run.out);
    assert_eq!(sandbox.export(&old), before);
    let again = sandbox.run_new(&[&rescore[..], &["--fail-over", "1"]].concat()).summary();
    assert_eq!((number(&again, "listed"), number(&again, "skipped")), (4, 2), "{again}");

    // The scan that the sentence asks for.
    let scan = sandbox.run_new(&["scan", "photos", "--json"]).summary();
    assert_eq!((number(&scan, "skipped"), outcome(&scan, "scored")), (2, 1), "{scan}");
}

#[test]
fn an_interrupted_rescore_ends_soon_and_the_same_command_goes_on() {
    const IMAGES: u64 = 60;
    let sandbox = Sandbox::new();
    sandbox.fill(IMAGES as usize);
    sandbox.scan();
    let rescore = ["rescore", "--root", "photos", "--json"];
    let mut command = sandbox.command(&[&rescore[..], &["--rate", "90/min"]].concat());
    let mut process =
        command.envs(NEW).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut lines = BufReader::new(process.stdout.take().unwrap());
    let mut first = String::new();
    lines.read_line(&mut first).unwrap();
    let id = process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let mut rest = String::new();
    lines.read_to_string(&mut rest).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(130), "{rest}");
    let last: Value = serde_json::from_str(rest.lines().last().unwrap()).unwrap();
    let interrupted = &last["summary"];
    assert_adds_up(interrupted);
    // What waits for its time is not listed.
    assert!((1..IMAGES).contains(&number(interrupted, "listed")), "{interrupted}");
    assert!((1..20).contains(&ended(interrupted)), "{interrupted}");
    let rest = sandbox.run_new(&rescore).summary();
    assert_adds_up(&rest);
    assert_eq!(number(&rest, "skipped"), ended(interrupted), "what was done is not done again");
    assert_eq!(outcome(&rest, "scored"), IMAGES - ended(interrupted));
}

#[test]
fn the_last_line_of_an_interrupted_rescore_says_how_to_go_on() {
    let sandbox = Sandbox::new();
    sandbox.fill(10);
    sandbox.scan();
    let mut command = sandbox.command(&["rescore", "--root", "photos", "--rate", "60/min"]);
    let process = command.envs(NEW).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    // It works once something is under the new profile.
    while sandbox.run(&["profile", "list", "--json"]).json().len() < 2 {}
    let id = process.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().unwrap().success());
    let ended = process.wait_with_output().unwrap();
    assert_eq!(ended.status.code(), Some(130));
    let told = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(
        told.lines().last(),
        Some("interrupted: the same command continues from here"),
        "{told}"
    );
    assert!(!told.contains("profile activate"), "{told}");
    let done = sandbox.run_new(&["rescore", "--root", "photos"]);
    done.ended(0);
    assert!(done.out.contains("profile activate"), "{}", done.out);
}

#[test]
fn references_whose_bytes_nobody_has_are_named() {
    let sandbox = Sandbox::new();
    sandbox.write("photos/badge.jpg", &sample("obama.jpg"));
    sandbox.run(&["enrol", "--subject", "p1", "photos/badge.jpg"]).ended(0);
    sandbox.write("photos/badge.jpg", &sample("biden.jpg"));
    sandbox.scan();
    let run = sandbox.run_new(&["rescore", "--root", "photos"]);
    run.ended(0);
    let sentence = "not listed: 1 reference of people";
    assert!(run.out.contains(sentence) && run.out.contains("photos/badge.jpg"), "{}", run.out);
    assert!(run.out.contains("1 listed = 1 scored"), "{}", run.out);
    let summary = sandbox.run_new(&["rescore", "--root", "photos", "--json"]).summary();
    assert_eq!(number(&summary, "lost_references"), 1, "{summary}");
}

#[test]
fn what_a_verdict_marks_as_gone_is_left_out_unless_the_chip_cache_has_it() {
    let sandbox = Sandbox::new();
    for name in ["obama.jpg", "biden.jpg"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    let cached = |arguments: &[&str], new: bool| {
        let mut command = sandbox.command(arguments);
        command.env("FACEFLEET__CHIPS__URL", sandbox.path("chips"));
        let run = Run::of(command.envs(NEW.into_iter().filter(|_| new)).output().unwrap());
        run.ended(0);
        run
    };
    cached(&["scan", "photos"], false);
    std::fs::remove_file(sandbox.path("photos/biden.jpg")).unwrap();
    sandbox.run(&["scan", "photos", "--prune"]).ended(0);

    let rescore = ["rescore", "--root", "photos"];
    let told = sandbox.run_new(&rescore);
    told.ended(0);
    assert!(told.out.contains("\nnot listed: 1 image gone from the source\n"), "{}", told.out);
    let summary = sandbox.run_new(&[&rescore[..], &["--json"]].concat()).summary();
    let counts = ["listed", "skipped", "gone_images"].map(|key| number(&summary, key));
    assert_eq!(counts, [1, 1, 1], "{summary}");
    let summary = cached(&[&rescore[..], &["--json"]].concat(), true).summary();
    let keys = ["listed", "skipped", "gone_images", "from_chip_cache"];
    assert_eq!(keys.map(|key| number(&summary, key)), [2, 1, 0, 1], "{summary}");
    assert_eq!(outcome(&summary, "scored"), 1, "{summary}");
}
