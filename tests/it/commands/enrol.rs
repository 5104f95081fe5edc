//! `enrol` as people run it, in one process.

use serde_json::{Value, json};

use super::schemas::assert_fits;
use super::{Run, Sandbox};
use crate::support::{sample, sample_path};

fn with_photos(names: &[&str]) -> Sandbox {
    let sandbox = Sandbox::new();
    for name in names {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    sandbox
}

/// The decisions by file name.
fn decisions(run: &Run) -> Vec<(String, String)> {
    let lines = run.json();
    let images = lines.iter().filter(|line| line["decision"].is_string());
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut found: Vec<(String, String)> = images
        .map(|line| {
            let image = text(&line["image"]);
            (image.rsplit('/').next().unwrap().to_owned(), text(&line["decision"]))
        })
        .collect();
    found.sort();
    found
}

fn expect(of: &[(&str, &str)]) -> Vec<(String, String)> {
    of.iter().map(|(image, decision)| ((*image).to_owned(), (*decision).to_owned())).collect()
}

fn pick(summary: &Value, keys: &[&str]) -> Vec<u64> {
    keys.iter().map(|key| summary[key].as_u64().unwrap_or_else(|| panic!("{key}"))).collect()
}

const COUNTS: [&str; 6] =
    ["listed", "accepted_before", "accepted", "review", "rejected", "subjects"];

#[test]
fn photos_of_one_person_are_accepted_once_and_told_line_by_line() {
    let sandbox = with_photos(&["obama.jpg", "obama2.jpg", "chelsea.png"]);
    let both = ["enrol", "--subject", "barack", "photos/obama.jpg", "photos/obama2.jpg"];
    let run = sandbox.run(&both);
    run.ended(0);
    for told in ["accepted  ", "obama2.jpg  quality 9", "2 accepted, 0 to review, 0 rejected"] {
        assert!(run.out.contains(told), "{told}: {}", run.out);
    }
    let again = sandbox.run(&[&both[..], &["--json"]].concat());
    again.ended(0);
    assert_eq!(pick(&again.summary(), &COUNTS), [2, 2, 0, 0, 0, 0], "nothing is done twice");

    let folder = sandbox.run(&["enrol", "--subject", "barack", "photos"]);
    folder.ended(3);
    let cat = folder.out.lines().find(|line| line.contains("chelsea.png")).unwrap();
    assert!(cat.starts_with("rejected  ") && cat.contains("NO_FACE: no usable face"), "{cat}");
    assert!(folder.out.contains("1 rejected, 2 accepted before"), "{}", folder.out);

    let shown = sandbox.run(&["show", "photos/obama.jpg"]);
    assert!(shown.out.contains("enrolled for barack at "), "{}", shown.out);
    let shown = sandbox.run(&["show", "photos/chelsea.png", "--json"]).json();
    assert_fits("known-image", &shown);
    assert_eq!(shown[0]["enrolments"][0]["codes"], json!(["NO_FACE"]));
    assert_eq!(shown[0]["enrolments"][0]["subject"], "barack");
}

#[test]
fn a_list_enrols_many_and_a_double_agent_is_put_to_review() {
    let sandbox = with_photos(&["obama.jpg", "obama2.jpg", "biden.jpg", "astronaut.png"]);
    let dark = image::load_from_memory(&sample("astronaut.png")).unwrap().brighten(-235);
    dark.save(sandbox.path("photos/dark.png")).unwrap();
    let list = "subject,file\nbarack,obama.jpg\njoe,biden.jpg\nagent,obama2.jpg\n\
        eileen,astronaut.png\neileen,dark.png\njoe,missing.jpg\n,obama3.jpg\n";
    sandbox.write("people.csv", list.as_bytes());
    sandbox.write("photos/obama3.jpg", &sample("obama3.jpg"));
    let enrol = ["enrol", "--subjects", "people.csv", "--images", "photos", "--json"];
    let run = sandbox.run(&enrol);
    run.ended(3);
    assert!(run.err.contains("obama3.jpg: it names no subject"), "{}", run.err);
    let lines = run.json();
    let images: Vec<Value> =
        lines.iter().filter(|line| line["summary"].is_null()).cloned().collect();
    assert_fits("enrolled-image", &images);
    assert_fits("enrol-summary", &lines[lines.len() - 1..]);
    // Which of the two comes first is up to the scorer.
    let found = decisions(&run);
    let of = |name: &str| &found.iter().find(|(image, _)| image == name).unwrap().1;
    let mut pair = [of("obama.jpg").as_str(), of("obama2.jpg").as_str()];
    pair.sort_unstable();
    assert_eq!(pair, ["accepted", "review"]);
    for (image, decision) in expect(&[
        ("astronaut.png", "accepted"),
        ("biden.jpg", "accepted"),
        ("dark.png", "rejected"),
        ("missing.jpg", "rejected"),
    ]) {
        assert_eq!(*of(&image), decision, "{image}");
    }
    let summary = run.summary();
    assert_eq!(pick(&summary, &COUNTS), [6, 0, 3, 1, 2, 4]);
    assert_eq!(pick(&summary, &["enrolled_subjects", "left", "unlisted"]), [3, 0, 1]);
    let line = |name: &str| {
        images.iter().find(|line| line["image"].as_str().unwrap().ends_with(name)).unwrap()
    };
    let review = images.iter().find(|line| line["decision"] == "review").unwrap();
    assert_eq!(review["codes"], json!(["LOOKS_LIKE_ANOTHER"]));
    assert!(review["reasons"][0]["found"].as_f64() > review["reasons"][0]["asked"].as_f64());
    let listed = sandbox.run(&["subject", "review", "--json"]).json().remove(0);
    let like = if listed["subject"] == "agent" { "barack" } else { "agent" };
    assert_eq!(listed["like"], json!([like]));
    for command in [&["subject", "review"][..], &["show", review["uri"].as_str().unwrap()]] {
        let (text, told) = (sandbox.run(command).out, format!("was accepted for '{like}'"));
        assert!(text.contains(&told), "{text}");
    }
    assert_eq!(line("missing.jpg")["codes"], json!(["UNREADABLE"]));
    let dark = line("dark.png")["codes"].as_array().unwrap();
    assert!(dark.contains(&json!("TOO_DARK")) || dark.contains(&json!("NO_FACE")), "{dark:?}");

    // What was accepted stays, and the rest is decided again.
    let again = sandbox.run(&enrol);
    again.ended(3);
    assert_eq!(pick(&again.summary(), &COUNTS), [6, 3, 0, 1, 2, 3]);
    let results = sandbox.run(&["campaign", "list", "--json"]);
    assert!(results.json().iter().all(|campaign| campaign["lane"] == "enrol"), "{}", results.out);
}

#[test]
fn a_photo_that_is_upside_down_has_a_low_quality_and_exports_say_so() {
    let sandbox = with_photos(&[]);
    // The detector finds upright landmarks in it, so that its roll tells nothing.
    let turned = image::load_from_memory(&sample("obama.jpg")).unwrap().rotate180();
    turned.save(sandbox.path("photos/turned.png")).unwrap();
    let run = sandbox.run(&["enrol", "--subject", "barack", "photos/turned.png", "--json"]);
    run.ended(3);
    assert_eq!(run.json()[0]["codes"], json!(["LOW_QUALITY"]), "{}", run.out);
    // It has no subject, and an export tells whose it was to be.
    let exported = sandbox.run(&["export", "--format", "jsonl"]).json().remove(0);
    assert_eq!(exported["subject"], Value::Null);
    let enrolment = json!({"subject": "barack", "decision": "rejected", "codes": ["LOW_QUALITY"]});
    assert_eq!(exported["enrolment"], enrolment);
}

#[test]
fn another_person_under_a_known_name_is_rejected() {
    let sandbox = with_photos(&["obama.jpg", "biden.jpg", "obama_partial_face.jpg"]);
    let enrol = |image: &str| {
        let image = format!("photos/{image}");
        sandbox.run(&["enrol", "--subject", "barack", &image, "--gallery", "staff", "--json"])
    };
    enrol("obama.jpg").ended(0);
    let other = enrol("biden.jpg");
    other.ended(3);
    assert_eq!(other.json()[0]["codes"], json!(["NOT_THE_SUBJECT"]));
    let cut = enrol("obama_partial_face.jpg");
    assert_eq!(cut.json()[0]["codes"], json!(["FACE_CUT_OFF"]), "{}", cut.out);
    // Without these checks it passes; the settings decide.
    let path = sample_path("obama_partial_face.jpg");
    let mut loose = sandbox.command(&[
        "enrol",
        "--subject",
        "barack",
        path.to_str().unwrap(),
        "--gallery",
        "staff",
        "--json",
    ]);
    loose.env("FACEFLEET__ENROL__MAX_CUT_OFF", "0");
    let run = Run::of(loose.output().unwrap());
    run.ended(0);
    assert_eq!(run.json()[0]["decision"], "accepted");
    let mut wrong = sandbox.command(&["enrol", "--subject", "x", path.to_str().unwrap()]);
    wrong.env("FACEFLEET__ENROL__MIN_QUALITY", "101");
    let run = Run::of(wrong.output().unwrap());
    run.ended(1);
    assert!(run.err.contains("enrol.min_quality = 101: must be 0 to 100"), "{}", run.err);
}

#[test]
fn wrong_use_says_what_is_wrong() {
    let sandbox = with_photos(&["obama.jpg"]);
    sandbox.write("photos/text.jpg", b"not a photo");
    sandbox.write("empty.csv", b"");
    sandbox.write("nameless.csv", b"file\nphotos/obama.jpg\n");
    let ended = |arguments: &[&str], status: i32, told: &str| {
        let run = sandbox.run(&[&["enrol"], arguments].concat());
        run.ended(status);
        let all = format!("{}{}", run.out, run.err);
        assert!(all.contains(told), "{arguments:?}: {told}: {all}");
    };
    ended(&["photos/obama.jpg"], 2, "--subject <ID>");
    ended(&["--subject", "a\nb", "photos/obama.jpg"], 2, "1 to 200 characters");
    ended(&["--subject", "a"], 2, "<IMAGE|FOLDER|URL>");
    ended(&["--subject", "a", "--subjects", "empty.csv"], 2, "cannot be used with");
    ended(&["--subject", "a", "none.jpg"], 1, "none.jpg: No such file");
    ended(&["--subjects", "none.csv"], 1, "none.csv");
    ended(&["--subjects", "empty.csv"], 1, "it names no image");
    ended(&["--subjects", "nameless.csv"], 1, "no row names a subject: give the list a column");
    ended(&["--subjects", "empty.csv", "--images", "no"], 1, "no: there is no such folder");
    ended(&["--subject", "a", "photos/text.jpg"], 3, "UNREADABLE: the image could not be used");
}

#[test]
fn rows_that_contradict_each_other_or_cannot_be_used_are_named() {
    let sandbox = with_photos(&["obama.jpg"]);
    let enrol = |list: &str| {
        sandbox.write("people.csv", list.as_bytes());
        sandbox.run(&["enrol", "--subjects", "people.csv", "--images", "photos"])
    };
    let both = enrol("file,subject\nobama.jpg,ada\nobama.jpg,eve\n");
    both.ended(3);
    let told = "people.csv, line 3: an earlier row names the same image with another subject";
    assert!(both.err.contains(told), "{}", both.err);
    assert!(both.out.contains("1 accepted, 0 to review"), "{}", both.out);

    let long = "x".repeat(250);
    let none = enrol(&format!("file,subject\nobama.jpg,{long}\n"));
    none.ended(3);
    assert!(none.err.contains("people.csv, line 2: "), "{}", none.err);

    let elsewhere = enrol("file,subject\nother/a.jpg,ada\nother/b.jpg,eve\n");
    elsewhere.ended(3);
    assert!(elsewhere.out.contains("name it with --images"), "{}", elsewhere.out);
}
