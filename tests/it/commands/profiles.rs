//! `profile` as people run it: a model is changed and changed back.

use serde_json::{Value, json};

use super::schemas::assert_fits;
use super::{Run, Sandbox, number};
use crate::support::{sample, sample_path};

const PEOPLE: &str = "subject,file\nbarack,photos/obama.jpg\njoe,photos/biden.jpg\n";

/// A gallery in which two people are enrolled.
fn staff() -> Sandbox {
    let sandbox = Sandbox::new();
    for name in ["obama.jpg", "biden.jpg", "astronaut.png", "chelsea.png"] {
        sandbox.write(&format!("photos/{name}"), &sample(name));
    }
    sandbox.write("people.csv", PEOPLE.as_bytes());
    sandbox.run(&["enrol", "--subjects", "people.csv", "--gallery", "staff"]).ended(0);
    sandbox.run(&["scan", "photos", "--gallery", "staff"]).ended(0);
    sandbox
}

/// Runs a command under other settings, and with them another profile.
fn other(sandbox: &Sandbox, arguments: &[&str]) -> Run {
    let mut command = sandbox.command(arguments);
    command.env("FACEFLEET__DETECTOR__MAX_SIDE", "480");
    Run::of(command.output().unwrap())
}

fn line(run: &Run) -> Value {
    run.ended(0);
    run.json().remove(0)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn path(name: &str) -> String {
    sample_path(name).to_str().unwrap().to_owned()
}

/// Decisions and references of a person.
fn person(sandbox: &Sandbox, name: &str) -> Value {
    line(&sandbox.run(&["subject", "show", name, "--gallery", "staff", "--json"]))
}

#[test]
fn a_model_is_changed_and_changed_back() {
    let sandbox = staff();
    let photo = path("obama2.jpg");
    let search = ["search", &photo, "--gallery", "staff", "--json"];
    let before = line(&sandbox.run(&search));
    assert_eq!(before["candidates"][0]["subject"], "barack");
    let people = [person(&sandbox, "barack"), person(&sandbox, "joe")];
    let old = text(&before["profile"]);

    // A part under the new settings: a shadow, which changes nothing.
    let scan = ["scan", "photos", "--gallery", "staff", "--exclude", "biden.jpg", "--json"];
    let scanned = other(&sandbox, &scan);
    scanned.ended(0);
    assert_fits("scan-summary", &scanned.json()[scanned.json().len() - 1..]);
    let summary = scanned.summary();
    let new = text(&summary["profile"]);
    assert_ne!(new, old);
    assert_eq!(summary["active_profile"], json!(old));
    let told = other(&sandbox, &scan[..scan.len() - 1]);
    told.ended(0);
    assert!(told.out.contains(&format!("activate {new} --gallery staff")), "{}", told.out);
    let unchanged = line(&sandbox.run(&search));
    assert_eq!(
        [&unchanged["candidates"], &unchanged["profile"]],
        [&before["candidates"], &json!(old)]
    );
    let exported = line(&sandbox.run(&["export", "--gallery", "staff", "--format", "jsonl"]));
    assert_eq!(exported["profile"], json!(old));

    // The settings decide who can be searched and enrolled with them.
    let refused = other(&sandbox, &search);
    refused.ended(1);
    for told in [&old, &format!("--profile {new}"), &format!("profile activate {new}")] {
        assert!(refused.err.contains(told.as_str()), "{told}: {}", refused.err);
    }
    let shadow = other(&sandbox, &[&search[..], &["--profile", &new]].concat());
    assert_eq!(line(&shadow)["profile"], json!(new));
    let enrol = ["enrol", &photo, "--subject", "barack", "--gallery", "staff"];
    let refused = other(&sandbox, &enrol);
    refused.ended(1);
    assert!(refused.err.contains("nobody would find whom they enrol"), "{}", refused.err);
    let wrong = other(&sandbox, &[&enrol[..], &["--profile", &old]].concat());
    wrong.ended(1);
    assert!(wrong.err.contains("these settings enrol under profile"), "{}", wrong.err);
    assert_eq!(person(&sandbox, "barack"), people[0]);

    // Too little is covered, and a person would be lost.
    let activate = ["profile", "activate", &new[..6], "--gallery", "staff", "--as", "ann"];
    let refused = sandbox.run(&activate);
    refused.ended(1);
    for told in ["covers 3 of 4 images", "(75.00 %)", "facefleet rescore --gallery staff"] {
        assert!(refused.err.contains(told), "{told}: {}", refused.err);
    }
    let refused = sandbox.run(&[&activate[..], &["--min-coverage", "75"]].concat());
    refused.ended(1);
    assert!(refused.err.contains("1 of 2 active references"), "{}", refused.err);
    other(&sandbox, &["scan", "photos", "--gallery", "staff"]).ended(0);
    let activated = line(&sandbox.run(&[&activate[..], &["--json"]].concat()));
    assert_fits("activated-profile", std::slice::from_ref(&activated));
    let found = ["profile", "instead_of", "changed", "forced"].map(|key| activated[key].clone());
    assert_eq!(found, [json!(new), json!(old), json!(true), json!(false)]);
    let again = sandbox.run(&activate);
    again.ended(0);
    assert!(again.out.contains("already"), "{}", again.out);

    // People are found by their old references, under the new templates.
    let after = line(&other(&sandbox, &search));
    assert_eq!(after["profile"], json!(new));
    assert_eq!(after["candidates"][0]["subject"], "barack");
    let verify = ["verify", "barack", &photo, "--gallery", "staff", "--min-similarity", "0.5"];
    other(&sandbox, &verify).ended(0);
    assert_eq!([person(&sandbox, "barack"), person(&sandbox, "joe")], people);
    sandbox.run(&search).ended(1);
    let exported = line(&sandbox.run(&["export", "--gallery", "staff", "--format", "jsonl"]));
    assert_eq!(exported["profile"], json!(new));
    other(&sandbox, &enrol).ended(0);

    // And back: the photo that was enrolled meanwhile has no template there.
    let back = ["profile", "activate", &old, "--gallery", "staff", "--as", "bob"];
    let refused = sandbox.run(&back);
    refused.ended(1);
    assert!(refused.err.contains("covers 4 of 5 images"), "{}", refused.err);
    sandbox.run(&[&back[..], &["--force"]].concat()).ended(0);
    let as_before = line(&sandbox.run(&search));
    assert_eq!(as_before["candidates"][0]["subject"], "barack");
    assert_eq!(as_before["searched"], before["searched"]);
}

#[test]
fn profiles_are_listed_shown_and_retired() {
    let sandbox = staff();
    other(&sandbox, &["scan", "photos/obama.jpg", "--gallery", "staff"]).ended(0);
    other(&sandbox, &["scan", "photos/obama.jpg", "--gallery", "guests"]).ended(0);
    let listed = sandbox.run(&["profile", "list", "--json"]);
    listed.ended(0);
    let profiles = listed.json();
    assert_fits("profile", &profiles);
    assert_eq!(profiles.len(), 2);
    let [old, new] = [&profiles[0], &profiles[1]];
    assert_eq!([&old["detector"], &old["precision"]], [&json!("yunet-2023mar"), &json!("float32")]);
    let of_staff = &new["galleries"].as_array().unwrap()[1];
    assert_eq!([&of_staff["gallery"], &of_staff["active"]], [&json!("staff"), &json!(false)]);
    let counts = ["images", "covered", "references", "lost_references"];
    assert_eq!(counts.map(|key| number(&of_staff["coverage"], key)), [4, 1, 2, 1]);
    let of_guests = sandbox.run(&["profile", "list", "--gallery", "guests"]);
    of_guests.ended(0);
    assert!(of_guests.out.contains("guests: active, 1 images"), "{}", of_guests.out);
    assert!(!of_guests.out.contains("staff"), "{}", of_guests.out);

    let (old, new) = (text(&old["profile"]), text(&new["profile"]));
    sandbox.run(&["profile", "activate", &new, "--gallery", "staff"]).ended(1);
    let force = ["profile", "activate", &new, "--gallery", "staff", "--as", "ann", "--force"];
    sandbox.run(&force).ended(0);
    let shown = line(&sandbox.run(&["profile", "show", &new[..8], "--json"]));
    assert_fits("profile-detail", std::slice::from_ref(&shown));
    assert_eq!(
        [&shown["max_side"], &shown["models"][1]["role"]],
        [&json!(480), &json!("recogniser")]
    );
    assert!(shown["models"][0]["licence"].is_string(), "{shown}");
    let activation = &shown["activations"][0];
    assert_eq!([&activation["by"], &activation["forced"]], [&json!("ann"), &json!(true)]);
    let active = sandbox.run(&["profile", "show", "active", "--gallery", "staff"]);
    active.ended(0);
    assert!(active.out.starts_with(&new), "{}", active.out);
    assert!(active.out.contains("by ann, forced, covered 1 of 4 images"), "{}", active.out);
    let settings = sandbox.run(&["profile", "show", "settings"]);
    settings.ended(0);
    assert!(settings.out.starts_with(&old), "{}", settings.out);
    for (arguments, told) in [
        (&["profile", "show", "active"][..], "of which gallery"),
        (&["profile", "show", "0000000000000000"], "has no profile 0000000000000000"),
        (&["profile", "list", "--gallery", "nobody"], "only guests, staff"),
        (&["profile", "retire", &new, "--gallery", "staff"], "is the active one of gallery staff"),
        (&["profile", "retire", &new, "--all-galleries"], "is the active one of gallery guests"),
    ] {
        let run = sandbox.run(arguments);
        run.ended(1);
        assert!(run.err.contains(told), "{arguments:?}: {}", run.err);
    }

    let back = ["profile", "activate", &old, "--gallery", "staff", "--as", "ann"];
    sandbox.run(&back).ended(0);
    let retire = ["profile", "retire", &new, "--gallery", "staff", "--json"];
    let dry = line(&sandbox.run(&[&retire[..], &["--dry-run"]].concat()));
    assert_fits("retired-profile", std::slice::from_ref(&dry));
    let counts = ["images", "face_count", "deleted"];
    assert_eq!(counts.map(|key| number(&dry, key)), [1, 1, 0]);
    let people = person(&sandbox, "barack");
    let retired = line(&sandbox.run(&retire));
    assert_eq!(counts.map(|key| number(&retired, key)), [1, 1, 1]);
    let again = sandbox.run(&retire[..retire.len() - 1]);
    again.ended(0);
    assert!(again.out.contains("nothing to do"), "{}", again.out);
    assert_eq!(person(&sandbox, "barack"), people);
    let left = line(&sandbox.run(&["profile", "list", "--gallery", "staff", "--json"]));
    assert_eq!(left["profile"], json!(old));
    // It can be scanned again.
    other(&sandbox, &["scan", "photos", "--gallery", "staff"]).ended(0);
    sandbox.run(&["profile", "activate", &new, "--gallery", "staff", "--as", "ann"]).ended(0);
}
